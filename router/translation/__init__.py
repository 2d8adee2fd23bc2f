"""Translation between the client's messages and the upstream's events: pure functions, one module per concern.

`session_config`  Settings to `session.update`, and the context to items
`validation`      the table of fields of `agent` that cannot be obeyed
`listening`       `agent.listen` to turn detection and transcription
`voices`          `agent.speak` to one of the upstream's voices
`offered_tools`   the functions that the model may call
`formats`         audio formats of both sides
`audio`           microphone frames to appends, deltas to audio frames
`text`            items and transcripts to ConversationText, and back
`sentences`       the sentences of a transcript that still grows
`speech`          the heard part of an interrupted answer, and instructions to continue
`functions`       function calls and their outputs
`errors`          errors of the upstream and of the session, for the client
"""
