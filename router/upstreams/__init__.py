"""The health of the upstreams and their keys, which all sessions of a process share.

Each key of an upstream has a breaker. It opens after failures, and new calls then go to another key or upstream. After
a cool-down one call tries again. If all breakers are open, the key whose cool-down ends first is tried, so that a
caller always gets a dial.

`table`      the state machine of a breaker: state × event → next state, effect; pure
`breaker`    one breaker: the table, the failures in a row, the cool-down; pure
`evidence`   the event that a loss or a report of rate limits means, as a table; pure
`choice`     the order in which upstreams and keys are dialled: by health, weight and load, and place in the list; pure
`pool`       all breakers of one process, with their sessions; writes log lines and metrics
`session`    one session's use of the pool: its keys, its losses, its end
`backends`   the choice between two backends, for a session that either may serve
`shared`     the open breakers of several machines, through Redis
"""
