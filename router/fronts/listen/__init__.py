"""Deepgram's Listen: transcription alone, the second socket of the React component (`service=transcription`).

If a Deepgram key is configured, the frames pass to Deepgram. Otherwise a session of the router transcribes, and its
agent answers nothing.

`parameters`   the parameters of a request, and the Settings for which they ask; pure
`results`      Deepgram's messages about the user's words; pure
`transcriber`  a session of the router as the transcriber; pure
`relay`        Deepgram's own service as the transcriber; pure
`value`        the relay with the layouts of its memory, as it moves to another process
`guarded`      the messages as the guard reads them; pure
`front`        both fronts, as data, and their routes
"""
