"""The web server: HTTP and WebSocket requests to the router, which is an argument.

`app`         the WSGI app: WebSocket routes, health, readiness, front page
`upgrade`     the upgrade of a request to a session
`pages`       the console: the page at `/` and its files
`wire`        the rows of the wire view, for the console
`response`    the response to a request, as data
`server`      gunicorn, driven in this process: the arbiter
`worker`      gunicorn's worker and logger, changed
`scoreboard`  the workers of one server, in memory that they share
`host`        the gunicorn of a host application, in which a router is embedded
`internals`   the undocumented parts of gunicorn that these modules use
`banner`      the lines that the command prints at its start

No module here knows what a message means.
"""
