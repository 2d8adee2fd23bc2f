"""Deepgram's Voice Agent as one more upstream of a relay whose client speaks OpenAI Realtime. Pure.

The relay sends OpenAI's events and gets OpenAI's events, whichever backend serves the call. The relay has the ledger,
the restarts and the ids, so nothing else moves from one backend to the other.

`agent_session`  the session of the client as Deepgram's Settings
`history`   the items that Deepgram was not sent yet, as context and as the question to ask
`answer`    one turn of the agent as the events of one response
`agent`     one session of Deepgram's: its memory, and the operations of its handlers
`from_deepgram`  Deepgram's messages, as OpenAI's events
`from_relay`  the relay's events, as messages for Deepgram
`upstream`  one upstream: its two wires and its waits
`machine`   the machine of the call: the relay, with a `DeepgramUpstream` at each upstream of Deepgram's
"""
