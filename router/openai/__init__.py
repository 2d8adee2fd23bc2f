"""OpenAI's words: the Realtime API (GA) that our upstreams speak.

`events`  what we send and are sent, typed and frozen; names exactly as on the wire
`codec`   frames to events and back, with a short cut for audio

Pure. It has never heard of Deepgram.
"""
