"""The way of a request to a session, and of a session of another process to this one.

`begin`      a request that becomes a session: a new one, or the one that its client lost
`adopt`      a session that another process carried
`authorize`  the client's credential, its single use, and the session's place below the limits
`hand_over`  the hand-over of a session to its supervisor, and to the keeper of sessions
`parts`      the parts of a router in one process: their start and their end
"""
