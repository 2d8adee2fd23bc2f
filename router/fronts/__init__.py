"""Fronts: each translates one client's wire to the session's inputs, and the session's messages back.

The session is the same for all of these fronts, with its restarts, limits, hooks and records. A front knows its wire
and Deepgram's messages, and nothing of the upstream. A relay is a front whose machine takes the place of the session:
it speaks with its upstream itself. docs/adding-a-front.md shows how to add a front.

`front`     a front, as data, and the parts of a session that it gets
`agents`    the agents of the configuration, as Settings
`named_agents`  Settings that name an agent of the configuration
`as_openai`  Deepgram's own backend as one more upstream of `realtime`
`call_limits`  the limits of one call, for a relay
`deepgram`  Deepgram's protocol itself, in its two profiles: nothing to translate; its list of models, and the `Error`s
    that are sent without a session's machine, such as after a crash
`deepgram_agent`  Deepgram's own backend, relayed
`failover`  a call that one backend begins and the other may continue
`listen`    Deepgram's transcription, relayed or by a session
`realtime`  the OpenAI Realtime API, relayed
`twilio`    the telephone: Twilio Media Streams
`table`     the fronts by name, and their routes
"""
