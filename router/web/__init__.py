"""The web server: it passes HTTP and WebSocket requests on to a router, which it gets as an argument.

`app`            the WSGI app: WebSocket routes, health, readiness, front page
`upgrade`        the upgrade of a request to a session, its refusal as a response, and the bound of held threads
`pages`          the console: the page at `/` and its files
`metrics_page`   the page that Prometheus scrapes
`sessions_page`  `/admin/sessions`: all workers' sessions, the end of one, the check of an administrator
`admin_api`      the other paths below `/admin`: upstreams, workers, drain, reload, log level, recording, overview
`admin_page`     the page `/admin` and its files
`wire`           the rows of the wire view, for the console
`grants`         the routes that give short-lived tokens
`admin`          the server of a separate address for administrators (`--admin-bind`), with its own threads
`activation`     listening sockets that systemd has opened
`listeners`      the sockets on which the server listens, and the limits of open files and of core files
`response`       the response to a request, as data, and the headers that every response has
`server`         gunicorn, driven in this process: its settings, the application, and its shared memory
`arbiter`        gunicorn's arbiter, changed: it starts and signals the workers, and kills a silent one
`reloads`        the steps of a reload, and its failure
`reload_board`   the state of reloads, in memory that the workers share
`successor`      a template, as the arbiter sees it
`template`       the process that forks the workers after a reload
`keeper`         the sockets and the memory of all sessions, in the arbiter, which gives those of a dead worker away
`custody`        the channel to the keeper, as a worker sees it
`moves`          sessions that move from a worker that is replaced to a newer one
`replacement`    a main process that replaces another: a deploy of another version
`orphans`        the workers of a main process that was killed, and the main process in its place
`handoff`        the messages between the arbiter and a template
`tls`            TLS in the server: its certificate, and sockets that a call can take
`worker`         gunicorn's worker and logger, changed
`worker_router`  the router of one worker, and the ways of its sessions to other workers
`intake`         requests that have not arrived whole: their heads are read without a thread
`scoreboard`     the state and load of each worker of one server, in memory that they share
`host`           the gunicorn of a host application, in which a router is embedded
`internals`      the undocumented parts of gunicorn that these modules use
`banner`         the lines that the command prints at its start

No module here knows what a message means.
"""
