"""The engine: threads, sockets and supervision, and not one word of Deepgram or OpenAI.

`messages`     the immutable vocabulary that actors tell each other
`dispatcher`   threads that run actors: one selector loop each
`actor`        our pykka.Actor: an inbox bound to a dispatcher
`pykka_internals`  the private names of pykka that `actor` uses
`client`       ClientActor: owns the connection to the client
`upstream`     UpstreamActor: owns the connection to the upstream, one generation of it
`translator`   TranslatorActor: feeds a session machine and performs its commands
`supervisor`   Supervisor: the switchboard; starts the trio, plugs it together, is told every ending
`restart`      what becomes of a session whose upstream was lost: a table, pure
`watchdog`     who looks whether the dispatchers run
`pool`         threads for what blocks
`connector`    the pool on which upstreams are dialled
`work`         what a session machine has done on a pool
`connections`  the seam to the network

A session is three actors and two sockets pinned to one dispatcher, so a message between them crosses no thread:

    client == ClientActor --> TranslatorActor --> UpstreamActor == upstream
                          <--                 <--
                       └────── Supervisor ──────┘
"""
