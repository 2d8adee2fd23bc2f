"""Deepgram's words: the Voice Agent protocol that our clients speak.

`messages`  what a client sends and is sent, typed and frozen; names exactly as on the wire
`blocks`    the parts of `agent` in Settings
`codec`     frames to messages and back

Pure. It has never heard of OpenAI.
"""
