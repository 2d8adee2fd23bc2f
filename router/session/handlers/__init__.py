"""The functions that the tables name. A row's handler takes a `Context` and an input; a joint rule's takes a `Context`.

The topics, in the order of a call:

`settings`            takes a client's Settings: Welcome, the dial of the upstream, SettingsApplied
`configure_hook`      lets the embedding application change a client's Settings
`conversions`         builds the audio converters on a pool thread while the upstream is dialled
`format_negotiation`  agrees on G.711 or linear16 with an upstream
`upstream_setup`      brings an upstream from its handshake to its acknowledged configuration
`early_input`         keeps client input until the session is ready
`user_text`           adds the user's typed messages to the conversation
`user_speech`         takes the user's speech from the microphone, and sends its transcript
`user_turn`           follows the user's turn, from its detected start to the response that answers it
`upstream_events`     takes acknowledgements of items, errors and rate limits, in a running session
`response_requests`   creates the requested responses, one at a time, and takes the refusal of a request
`response_origin`     finds the request that a response belongs to
`response_begin`      begins responses, both requested ones and those of the upstream
`response_end`        decides which event ends a response, and what its status causes: a Warning, another request
`agent_output`        turns text and audio of a response into messages; ends the agent's turn (`AgentAudioDone`)
`delivery`            holds the agent's text back until the user's transcript, and its audio until it is due
`verbatim`            has the agent speak a given text word for word, such as a greeting
`injection`           decides whether an InjectAgentMessage may be spoken now
`barge_in`            cuts off the agent when the user interrupts, and shortens its items to the heard words
`function_calls`      runs function calls, in the client or in the router, and announces them (`AgentThinking`)
`permission`          decodes the client's messages, and applies the policy to them: forced values, denials
`passthrough`         forwards the client's own OpenAI events
`updates`             changes a running session, one `session.update` at a time
`items`               creates conversation items upstream, and replays, corrects and deletes them
`restart`             replaces a lost or silent upstream: abandons it, dials again, warns the client
`adoption`            continues a session that another process carried
`resume`              turns interrupted or failed work into the request that continues it
`takeover`            gives the ledger, the uncommitted audio and the open questions to another upstream
`standby`             dials, configures and seeds the next upstream in advance, and switches over to it
`drain`               finishes a session whose process is about to end: warns, waits for the turn, ends
`limits`              ends a session that has reached a limit: length, silence, tokens, money
`ending`              ends a session with a typed message and a close frame
`refusals`            answers unreadable client messages, and finds fatal upstream errors
`ignored`             counts and logs inputs that change nothing or that no row lists
"""
