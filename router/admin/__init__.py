"""Verbs of an operator, over all workers of a server.

`peers`      the sending of a verb to every worker, over sockets that only this user can reach
`verbs`      the table of verbs in one process, and the rows of sessions
`operator`   the facts and effects of a worker: pauses, drains, its row in the list of workers
`upstreams`  dials, health and rate limits of the upstreams, summed up over all workers
`switches`   paused upstreams and the log level, in memory that all workers share
"""
