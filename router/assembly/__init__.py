"""The spec of each session, put together from the configuration, the functions and the hooks of a router.

`factory`    the spec of a session, from all its parts
`machines`   the machine of a session: its front, and the layers around it
`carried`    a session that may move to another process, as a value with its request, and the number of its adoptions
`guard_memory`  the memory of a guard as a value, in a session that may move
`options`    the options of a session, under its policy
`dialling`   the targets of upstreams, the headers that the router adds to them, and the measured dial
"""
