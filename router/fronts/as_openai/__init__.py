"""Deepgram's Voice Agent as one more upstream of a relay whose client speaks OpenAI Realtime. Pure.

The relay sends OpenAI's events and gets OpenAI's events, whichever backend serves the call. The relay has the ledger,
the restarts and the ids, so nothing else moves from one backend to the other.

`agent_session`  the session of the client as Deepgram's Settings
`history`   the items of the conversation, as context and as the question to ask
`answer`    one turn of the agent as the events of one response
`upstream`  the two wires of one upstream, each translated to the other
`machine`   the machine of the call: the relay, with a translator at each upstream of Deepgram's
"""
