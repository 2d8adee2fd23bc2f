"""Deepgram's wire: the Voice Agent protocol that the clients speak, with names exactly as on the wire.

`messages`  the client's messages and the server's, typed and frozen
`blocks`    the parts of `agent` in Settings
`codec`     text frames to messages and back

Pure, and independent of OpenAI's wire.
"""
