"""The observer of sessions: what a session was, what it cost, and how it ended.

`sessions`   an observer for each session, fed by the supervisor; at the end the log line and the usage log's line
`counter`    the metrics that a session's events count
`endings`    the end of a session in a word, its code, its cause, and the level of its log line
`identity`   the facts about a session's request: route, principal, trace, peer
`latencies`  the latencies of a session's turns
"""
