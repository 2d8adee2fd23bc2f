"""Connections: the only place that knows a WebSocket library.

`base`      the seam: Connection, its listener, its limits, its end
`frames`    RFC 6455 frames, pure
`stream`    a WebSocket over a non-blocking socket on a dispatcher: what both legs share
`client`    the leg to the client: accepted from a WSGI environ with simple-websocket
`upstream`  the leg to the upstream: dialled with websocket-client
`memory`    the shipped fake: two ends joined in memory
"""
