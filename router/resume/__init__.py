"""The return of a client whose call ended without its will, to the conversation that it had.

`tokens`      the token that a client gets in its `Welcome`, signed and bound to its principal; pure
`keeping`     the machines around a session: one takes the snapshot of a lost call, one meets a client that is back
`area`        the kept snapshots in memory that the workers of a server share
`remote`      the kept snapshots in Redis, for several machines
`resumption`  the kept snapshots of one process: its stores, its thread, its tokens
"""
