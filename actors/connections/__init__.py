"""Connections: the only place that knows a WebSocket library.

`base`      the seam: Connection, its listener, its limits, its end
`close_codes`  the codes of close frames, and when each is sent
`frames`    RFC 6455 frames, pure
`outbox`    what waits to be written, pure
`writer`    the writer of a connection: gathers frames, bounds them, detects a stalled peer
`protocol`  RFC 6455 on a dispatcher, over any stream of bytes
`stream`    the same over a non-blocking socket, plain or TLS: what both legs share
`handover`  a request's socket, out of a WSGI server's hands
`client`    the leg to the client: accepted from a WSGI environ with simple-websocket
`upstream`  the leg to the upstream: dialled with websocket-client
`cookies`   websocket-client without cookies, for our dials
`memory`    the shipped fake: two ends joined in memory
"""
