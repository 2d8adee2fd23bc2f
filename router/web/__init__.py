"""How people reach the router.

- `app`: the WSGI app: the WebSocket routes, health, a word of welcome.
- `upgrade`: the upgrade of a request to a session; `answer`: what is answered to a request.
- `server`: gunicorn, driven in this process.
- `worker`: gunicorn's worker and logger, as we need them.
- `host`: somebody else's gunicorn, where a router is embedded.
- `scoreboard`: what its processes know of each other.
- `banner`: what is said at the start.

The router itself is handed in; nothing here knows what a message means.
"""
