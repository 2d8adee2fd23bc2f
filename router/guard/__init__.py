"""The guard: a check of the texts of the user, of functions and of the agent.

`rules`      the verdict of the rules on a text, and `CheckText`; pure (`router.config.guard` has the rules)
`texts`      the texts within a frame of either side; pure
`windows`    the agent's text, cut into the windows that are checked; pure
`inputs`     the common part of both machines: the checks, a failed check, and the messages that wait; pure
`dialect`    the wire of a relay, as the guard sees it
`relay`      a machine around a relay; a dialect describes the relay's wire; pure
`machine`    a machine around the session's machine: it checks texts, and holds back their frames meanwhile; pure
`marks`      the signs that a guarded session has to be stored; pure
`checking`   the check of one text by the rules, and then by a URL or a function; on the threads of a pool
`asking`     the request to the URL, with one deadline for the whole exchange

The session does not know the guard.
"""
