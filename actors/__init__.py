"""The engine: threads, sockets and supervision, and not one word of Deepgram or OpenAI.

Messages and interfaces:

`messages`         the inputs of a session machine, and the commands that it returns, as immutable messages
`machine`          the interface of a session machine, which turns inputs into commands
`spec`             the specification of a session: everything that the engine needs to run one
`lifecycle`        the messages between the supervisor and its actors, such as starts, endings, drains and departures

The trio of a session, and its supervisor:

`client`           ClientActor: owns the connection to the client
`translator`       TranslatorActor: feeds a session machine, performs its commands, and keeps its timers
`upstream`         UpstreamActor: owns one generation of the connection to the upstream
`intake`           passes the messages of a leg to its translator, and pauses a leg that is ahead of the translator
`supervisor`       Supervisor: starts sessions, and receives every ending and failure
`trio`             starts the three actors of a session, and gives them references to each other
`upstream_choice`  applies the restart policy to a session: the upstream to dial, and the verdict over a lost one
`departures`       the drain of a process: each session departs to another process, or ends after its turn
`record`           the supervisor's data about one session: its references, its state, its restarts
`restart`          the restart policy: a table from losses to decisions, the delays and the restart budget, pure
`leaving`          the moments at which idle sessions end during a drain, spread with jitter, pure
`notifications`    delivers notifications to an embedding application on a pool, in order for each session

Threads:

`actor`            the engine's pykka.Actor: an inbox bound to a dispatcher
`pykka_internals`  the private names of pykka that `actor` uses, and their check
`dispatcher`       the loop of a dispatcher's thread: its turns, its run queue, heavy sessions, the watched sockets
`poller`           the wait for ready descriptors: epoll or a portable stand-in, and the way to wake it
`timers`           the timers of a dispatcher: a heap, and the named timers of one session
`log_context`      adds the fields of a session to log lines that other code writes for it
`watchdog`         detects dispatchers that died or stalled
`allocator`        the return of memory to the system after sessions have ended
`traffic`          the counts of messages and bytes of one kind of connection, pure
`footprint`        the bound on the memory of all peers of a process, and the choice of the peer that gives way
`throttle`         the rates of one client in messages and bytes, and the pause of a client that exceeds them, pure
`pool`             `Pool`: threads and a queue for any work that blocks
`connector`        the pool on which upstreams are dialled, and the outcomes of its latest dials
`work`             the work that one actor has on pools: its keys, its time-outs, and its results that come too late

`connections`      the seam to the network, and the only place that knows a WebSocket library

A session is three actors and two sockets pinned to one dispatcher, so a message between them crosses no thread:

    client == ClientActor --> TranslatorActor --> UpstreamActor == upstream
                          <--                 <--
                       └────── Supervisor ──────┘
"""
