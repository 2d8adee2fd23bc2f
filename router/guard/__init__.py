"""The guard: a check of what is said, by the user, by functions and by the agent.

`rules`      the rules, the verdicts, and the texts to check; pure
`texts`      the texts within a frame of either side; pure
`windows`    the agent's text, cut into the windows that are checked; pure
`inputs`     the part of both machines: the checks, and the client's messages that wait; pure
`dialect`    the wire of a relay, as the guard sees it
`relay`      a machine around a relay, whose wire a dialect knows; pure
`machine`    a machine around the session's: the messages that it checks, and holds back meanwhile; pure
`checking`   the check itself: expressions, a URL, or a function; on the threads of a pool
`asking`     the request to the URL, with one deadline for the whole exchange

The session does not know the guard.
"""
