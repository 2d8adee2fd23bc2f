"""Connections: the seam to the network, and the only place that knows a WebSocket library.

`base`             the seam: a connection, its listener, its limits, its end
`close_codes`      the codes of close frames, and when each is sent
`frames`           RFC 6455 frames, pure
`outbox`           the queue of frames that wait to be written, pure
`writer`           the writer of a connection: gathers frames, bounds them, detects a stalled peer
`protocol`         RFC 6455 on a dispatcher, over any stream of bytes
`stream`           the same over a non-blocking socket, plain or TLS: the class of both legs
`client`           the leg to the client: accepted from a WSGI environ with simple-websocket's handshake
`handover`         takes a request's socket out of a WSGI server's hands
`upstream`         the leg to the upstream: dialled with websocket-client
`buffered_socket`  a blocking socket for a library that reads byte by byte
`cookies`          websocket-client without cookies, for our dials
`memory`           the shipped fake: two ends joined in memory
"""
