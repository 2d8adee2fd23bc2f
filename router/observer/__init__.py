"""The observer of sessions: the facts about each session, its cost, and its end.

`sessions`   an observer for each session, which gets the supervisor's events, and writes the log line and the usage
    log's line at the end; the warning of a model without a price
`counter`    the metrics that a session's events count
`endings`    the end of a session: a word, a code, a cause, and the level of its log line
`identity`   the facts about a session's request: route, principal, trace, peer
`latencies`  the latencies of a session's turns
"""
