"""Connections: the seam to the network, and the only place that knows a WebSocket library.

`base`             the interface of the seam: a connection, its listener, its bounds and deadlines, its end
`close_codes`      the codes of close frames, and when each is sent
`frames`           RFC 6455 frames, pure: the parser of received bytes, and the builders of frames to send
`outbox`           the queue of frames that wait to be written, with the units that may be dropped, pure
`writer`           writes the outbox of a connection, bounds its backlog, and detects a stalled peer
`protocol`         the life of a WebSocket on a dispatcher, over any stream of bytes: reading, pings, close handshake
`stream`           `protocol` over a non-blocking socket, plain or TLS: the base class of both legs
`client`           the leg to the client: accepted from a WSGI environ with simple-websocket's handshake
`asgi`             the leg to a client whose socket an ASGI server owns: the end on the dispatcher
`asgi_handshake`   the handshake with such a client, which the router accepts or refuses
`asgi_server`      the end of the same leg on the server's event loop: it calls `receive` and `send`
`asgi_writer`      the writer of `asgi`: bounds the messages that wait, and detects a client that takes none
`passage`          the two queues of messages of one such client, between the event loop and a dispatcher
`crossing`         wakes the event loop for the dispatchers, and the dispatchers for the event loop
`share`            reports the memory of one connection to `actors.footprint`, and lets the connection give way
`handover`         takes the socket of a request over from a WSGI server, or borrows it
`upstream`         the leg to the upstream: dialled with websocket-client
`buffered_socket`  a blocking socket for a library that reads byte by byte
`cookies`          websocket-client without cookies, for the router's dials alone
`blocking`         a blocking client and a blocking server for commands, over websockets; on no dispatcher
`kept`             the leg to a client whose session outlives its process: notes each byte in a shelf
`shelf`            the memory of one such session: its record, its journal, the rest of a write; also read after a death
`transfer`         the reads and writes of such a leg, with their notes in the arena: compiled, or in Python
`arena`            the memory of one process from which its shelves get their blocks
`memory`           the fake connection of this package: two ends joined in memory
"""
