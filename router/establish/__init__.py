"""The steps from a request to a session, and the adoption of a session of another process.

`begin`      the steps from a request to a session, which is new or the client's lost one
`adopt`      the adoption of a session that another process carried
`authorize`  the client's credential, its single use, and the session's place below the limits
`hand_over`  the hand-over of a session to its supervisor, and to the keeper of sessions
`parts`      the parts of a router in one process: their start and their end
"""
