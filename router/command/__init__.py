"""The command `switchboard`, which `router.__main__` starts.

`main`          the choice of a subcommand, and errors as sentences
`subcommands`   the table of subcommands
`serve`         `switchboard serve`, the default: the router, until a signal ends it
`admin`         `switchboard admin`: the verbs of an operator
`reload`        `switchboard reload`: a running server takes newer code and configuration into use
`usage`         `switchboard usage`: the sums of a usage log
`as_upstream`   a recording played to a router, in the part of the upstream
`against`       a recording played to a server, in the part of the client or of the router
`replay`        `switchboard replay`: a recorded session, printed as a trace, run again, or played
`talk`          `switchboard talk`: a conversation in the terminal
`canary`        `switchboard canary`: a test of the configured upstream
`token`         `switchboard token new`: a static token for a client
`voice_client`  a client of the voice agent protocol
`microphone`    speech that is sent in real time
`waves`         WAV files
`overview`      the text of `--help`
`streams`       the standard streams, which may be closed or lose their reader
"""
