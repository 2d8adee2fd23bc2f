"""A simulator of Deepgram's Voice Agent: rules, no model. Its sockets, faults and records are the OpenAI simulator's.

`message_shapes`  the shapes of client messages, strictly
`hearing`    the user's turns in microphone audio, by loudness
`answers`    the agent's answers, by rules
`session`    one session as a pure machine
`simulator`  the listening server
"""
