"""Deepgram's own Voice Agent as the upstream: its protocol passes through, and a lost session is restored.

The client and the upstream speak the same protocol, so a relay takes the place of the session machine. The relay
remembers the facts that another session of Deepgram's needs, and does not pass on the messages that the other session
repeats.

`fields`   text frames to their fields, and back; pure
`waiting`  the client's frames that wait because no upstream takes them yet; pure
`agent_audio`  the duration of the agent's audio; pure
`memory`   the finished turns and the Settings, for the next session; pure
`injected`  the client's messages that were sent, and that the upstream has not acknowledged; pure
`user_audio`  the user's speech of which the upstream has not made a turn; pure
`conversation`  the turn in progress, and the messages that a restored upstream repeats; pure
`endings`  the last `Error` and the close code of a session, for each cause of its end; pure
`reporting`  the notifications of a session; pure
`closing`  the moment of a session's end: limits, drain, errors; pure
`guarded`  the messages as the guard reads them; pure
`machine`  the relay; pure
`value`    the relay with the layouts of its memory, as it moves to another process
`policed`  the relay behind the policy of its client
`front`    the front, as data, and the address of the upstream
"""
