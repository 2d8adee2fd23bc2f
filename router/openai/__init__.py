"""OpenAI's wire: the Realtime API (GA) that the upstreams speak, with names exactly as on the wire.

`events`  the server's events and the client's, typed and frozen
`codec`   text frames to events and back, with a shortcut for audio

Pure, and independent of Deepgram's wire.
"""
