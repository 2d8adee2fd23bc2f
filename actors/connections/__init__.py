"""Connections: the seam to the network, and the only place that knows a WebSocket library.

`base`             the seam: a connection, its listener, its limits, its end
`close_codes`      the codes of close frames, and when each is sent
`frames`           RFC 6455 frames, pure
`outbox`           the queue of frames that wait to be written, pure
`writer`           the writer of a connection: gathers frames, bounds them, detects a stalled peer
`protocol`         RFC 6455 on a dispatcher, over any stream of bytes
`stream`           RFC 6455 over a non-blocking socket, plain or TLS: the class of both legs
`client`           the leg to the client: accepted from a WSGI environ with simple-websocket's handshake
`asgi`             the leg to a client whose socket an ASGI server owns
`asgi_handshake`   the handshake of that leg, which the router accepts
`asgi_server`      the server's end of that leg, on the server's event loop
`asgi_writer`      the writer of that leg: bounds the messages that wait, detects a client that takes none
`passage`          the queues of messages between the event loop and a dispatcher
`crossing`         the seam between the event loop and the dispatchers
`share`            a connection's share of the memory that all peers hold together
`handover`         takes a request's socket over from a WSGI server
`upstream`         the leg to the upstream: dialled with websocket-client
`buffered_socket`  a blocking socket for a library that reads byte by byte
`cookies`          websocket-client without cookies, for the router's dials
`blocking`         a blocking client and a blocking server for commands, over websockets; on no dispatcher
`kept`             the leg to a client whose session outlives its process
`shelf`            the memory of such a session, which another process reads
`transfer`         the reads and writes of such a leg, compiled or in Python
`arena`            the memory of all such sessions of a process, in blocks
`memory`           the fake connection of this package: two ends joined in memory
"""
