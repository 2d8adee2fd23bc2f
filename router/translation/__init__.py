"""Translation between the client's messages and the upstream's events: pure functions, one module per concern.

`session_config`  Settings to `session.update`, and the context to items
`validation`      the rules for the fields of `agent` that are well formed, but that the router cannot obey
`listening`       `agent.listen` to turn detection and transcription
`voices`          `agent.speak` to one of the upstream's voices
`offered_tools`   the functions that the model may call: which are accepted, and how they become tools
`formats`         which audio formats the client and the upstream use
`audio`           microphone frames to `input_audio_buffer.append`; the audio kept for a restart; deltas to audio frames
`text`            items and transcripts to ConversationText, Transcript and History, and texts to items
`sentences`       the sentences of a transcript that still grows
`speech`          the part of an interrupted answer that the user heard, and instructions to continue
`functions`       one function call and its output, as messages to the client and items for the upstream
`errors`          errors of the upstream and of the session, translated for the client
"""
