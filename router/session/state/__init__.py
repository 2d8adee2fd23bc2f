"""The memory of a session. Nothing here imports a handler.

`session`      all of it: `State`
`states`       the states of the tables
`turn`         the agent's turn: the responses requested, the response in progress, and its delivered part
`transcripts`  the user's transcripts: the awaited ones, and the words of those in progress
`playback`     an estimate of the audio that the caller has heard, and the audio that is ahead of it
`calls`        the function calls: outstanding, and cancelled
`latency`      the moments of a turn, for its latency report
`upstream`     one upstream: the items that it was sent, and its session's properties
`ledger`       the conversation so far, for the next upstream
`early`        the client input that came before the session was ready
`queues`       small containers with a bound
"""
