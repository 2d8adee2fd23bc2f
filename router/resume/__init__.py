"""The return of a client whose call was lost to its earlier conversation.

`tokens`      the token that a client gets in its `Welcome`, signed and bound to its principal; pure
`keeping`     the machines around a session: one takes the snapshot of a lost call, the other receives a client that has
    come back
`area`        the kept snapshots in memory that the workers of a server share
`remote`      the kept snapshots in Redis, for several machines
`resumption`  the kept snapshots of one process: its stores, its thread, its tokens
"""
