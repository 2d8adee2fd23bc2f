"""The functions that the tables name. Each takes a `Context` and an input.

The topics, in the order of a call:

`settings`            takes a client's Settings and dials the upstream for them
`configure_hook`      lets the embedding application change a client's Settings
`conversions`         prepares the audio converters while the upstream is dialled
`format_negotiation`  agrees on G.711 or linear16 with an upstream
`upstream_setup`      brings an upstream from its handshake to its acknowledged configuration
`early_input`         keeps client input until the session is ready
`user_text`           adds the user's typed messages to the conversation
`user_speech`         takes the user's speech from the microphone, and sends its transcript
`user_turn`           follows the user's turn, from its detected start to the response that answers it
`upstream_events`     takes acknowledgements of items, and errors, in a running session
`response_requests`   creates the requested responses, one at a time, and takes the refusal of a request
`response_origin`     finds the request that a response belongs to
`response_begin`      begins responses, both requested ones and those of the upstream
`response_end`        ends responses, and with them the agent's turn
`agent_output`        turns the text and audio of a response into messages for the client, and ends the agent's turn
`delivery`            orders the agent's messages, and paces its audio
`verbatim`            has the agent speak a given text word for word
`injection`           decides whether an InjectAgentMessage may be spoken now
`barge_in`            cuts off the agent when the user interrupts
`function_calls`      runs function calls, in the client or in the router, and announces them (`AgentThinking`)
`permission`          reads the client's messages under the policy of the session
`passthrough`         forwards the client's own OpenAI events
`updates`             changes a running session, one `session.update` at a time
`items`               creates, corrects and deletes conversation items upstream
`restart`             replaces a lost upstream
`adoption`            continues a session that another process carried
`resume`              interrupts the work in progress, and requests its continuation
`takeover`            hands the conversation to another upstream
`standby`             prepares the upstream that follows before a session expires
`drain`               finishes a session whose process is about to end
`limits`              ends a session that has reached a limit: length, silence, tokens, money
`ending`              ends a session with a typed message and a close frame
`refusals`            answers unreadable client messages, and judges fatal upstream errors
`ignored`             counts the inputs that change nothing
"""
