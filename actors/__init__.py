"""The engine: threads, sockets and supervision, and not one word of Deepgram or OpenAI.

Messages and interfaces:

`messages`         the inputs and commands of a session, immutable
`machine`          the interface of a session machine, which turns inputs into commands
`spec`             the specification of a session: everything that the engine needs to run one
`lifecycle`        the messages between the supervisor and its actors

The trio of a session, and its supervisor:

`client`           ClientActor: owns the connection to the client
`translator`       TranslatorActor: feeds a session machine and performs its commands
`upstream`         UpstreamActor: owns one generation of the connection to the upstream
`intake`           the way of received messages from a leg to its translator
`supervisor`       Supervisor: starts sessions, and receives every ending
`trio`             the start of a session's actors, and the references between them
`upstream_choice`  the choice of the next upstream, and the verdict over a lost one
`departures`       the sessions of a process that goes away
`record`           the supervisor's record of one session
`restart`          the policy for a lost upstream: a table, pure
`leaving`          the moments at which idle sessions end during a drain, pure
`notifications`    the delivery of notifications to an embedding application

Threads:

`actor`            the engine's pykka.Actor: an inbox bound to a dispatcher
`pykka_internals`  the private names of pykka that `actor` uses, and their check
`dispatcher`       threads that run actors: one selector loop each
`poller`           the descriptors of a dispatcher: epoll, or a portable stand-in
`timers`           the timers of a dispatcher
`log_context`      the fields of log lines that other code writes for a session
`watchdog`         detects dispatchers that died or stalled
`allocator`        the return of memory to the system after sessions have ended
`traffic`          the counts of messages and bytes, pure
`footprint`        the memory that all peers of a process hold together
`throttle`         the rates of one client
`pool`             pools of threads for work that blocks
`connector`        the pool on which upstreams are dialled, and the latest results, by which a worker is ready
`work`             the work of an actor that runs on pools

`connections`      the seam to the network, and the only place that knows a WebSocket library

A session is three actors and two sockets pinned to one dispatcher, so a message between them crosses no thread:

    client == ClientActor --> TranslatorActor --> UpstreamActor == upstream
                          <--                 <--
                       └────── Supervisor ──────┘
"""
