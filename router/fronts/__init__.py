"""Fronts: each translates one client's wire to the session's inputs, and the session's messages back.

The session is the same for all of these fronts, with its restarts, limits, hooks and records. A front knows its wire
and Deepgram's messages, and nothing of the upstream. Other fronts have a relay: a machine that takes the place of the
session, and speaks with its upstream itself. docs/adding-a-front.md shows how to add a front.

`front`     the type `Front`: a front as data, and the parts of a session that it gets
`agents`    the configured agents: their validation, and the Settings made of one, for a wire without Settings
`named_agents`  the replacement of an agent's id in a client's own Settings by the configured agent
`as_openai`  Deepgram's own backend as one more upstream of `realtime`, for clients of OpenAI's protocol
`call_limits`  the limits of one call (duration, silence, turns, usage), for every relay
`deepgram`  the routes `/openai` and `/v1/agent/converse`: Deepgram's protocol, which the session speaks itself; the
    list of models, and the `Error`s that are sent without a session's machine, such as after a crash
`deepgram_agent`  Deepgram's own backend, relayed, for clients of Deepgram's protocol
`failover`  a call that one backend begins and the other may continue
`listen`    Deepgram's transcription, relayed or by a session
`realtime`  the OpenAI Realtime API, relayed
`twilio`    the telephone: Twilio Media Streams
`relay_marks`  the signs that the memory of a relay has to be stored
`relay_value`  the memory of a relay as a value
`wire_bytes`  the length of a frame on the wire to the client
`table`     the fronts by name, and their routes
"""
