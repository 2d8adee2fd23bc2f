"""Translation: what each side's words mean in the other's. Pure functions, one module per concern.

`settings`   Settings to session.update, context to items, the choice of a model
`text`       items and transcripts to ConversationText, and back
`functions`  function calls and their answers
`voices`     a speak block to one of the upstream's voices
`formats`    audio formats of either side
`audio`      microphone frames to appends, deltas to audio frames
`errors`     what goes wrong upstream, in words for the client
"""
