"""The product: it knows what messages mean, and how people reach us.

`core`         the Router: one per process; starts sessions
`config`       one frozen configuration
`web`          the WSGI app and the server that `run.py` drives
`simulator`    an OpenAI Realtime server that runs on this machine
`session`      one conversation as a state machine: pure
`translation`  what each side's words mean in the other's: pure
`deepgram`     the client's words: pure
`openai`       the upstream's words: pure
`audio`        formats and resampling: pure
`errors`       what can go wrong before there is a session
"""
