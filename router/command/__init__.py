"""The command `switchboard`, which `router.__main__` starts.

`main`          the choice of a subcommand, and errors as sentences
`subcommands`   the table of subcommands
`serve`         `switchboard serve`, the default: the router, until a signal ends it
`admin`         `switchboard admin`: the verbs of an operator
`reload`        `switchboard reload`: other code and another configuration for a running server
`usage`         `switchboard usage`: the sums of a usage log
`as_upstream`   the upstream's part of a recorded session, played to a router
`against`       the client's part of a recorded session, played to a server
`replay`        `switchboard replay`: a recorded session as a trace, or run again
`talk`          `switchboard talk`: a conversation in the terminal
`canary`        `switchboard canary`: a test of the configured upstream
`token`         `switchboard token new`: a static token for a client
`voice_client`  a client of the voice agent protocol
`microphone`    speech that is sent in real time
`waves`         WAV files
`overview`      the text of `--help`
`streams`       the standard streams, which may be closed or lose their reader
"""
