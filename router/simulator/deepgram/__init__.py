"""A simulator of Deepgram's Voice Agent: rules, no model.

It shares sockets, faults and records with the OpenAI simulator.

`message_shapes`  the strict shapes of client messages
`hearing`    the user's turns in microphone audio, by loudness
`answers`    the agent's answers, by rules
`session`    one session as a pure machine
`simulator`  the listening server
"""
