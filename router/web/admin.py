"""The pages for administrators on a separate address, with separate threads.

The pages answer even while every thread of the web server is busy. Otherwise a probe would get no answer, and the
prober would end the process with all its calls. All workers accept from one listener.
"""

from __future__ import annotations

import contextlib
import logging
import socketserver
import threading
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    import socket

    from router.web.response import WSGIApp

logger = logging.getLogger(__name__)

MAX_REQUESTS: Final = 16
"""The most requests that are served at a time; further connections are closed."""
REQUEST_S: Final = 5.0
"""The longest silence inside a request, in seconds."""


class AdminServer(socketserver.ThreadingMixIn, WSGIServer):
    """A server of one WSGI app on a listener that other processes may accept from, too.

    The server runs until its process ends. Its threads are daemons, so a worker ends without waiting for a probe.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, app: WSGIApp) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        # A connection wakes all workers, and only one of them gets it. The others must not block.
        listener.setblocking(False)
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(app)
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)

    def start(self) -> None:
        """Start a thread that serves."""
        threading.Thread(target=self.serve_forever, name="admin", daemon=True).start()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        accepted, address = super().get_request()
        accepted.settimeout(REQUEST_S)
        return accepted, address

    def verify_request(self, _request: Any, _address: Any) -> bool:
        """Whether fewer than `MAX_REQUESTS` are served, so that a thread may serve this connection."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, on a thread that serves only this connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log a failure at debug level, because its cause is a client that fell silent or is gone."""
        logger.debug("a request for the administrators' pages failed, from %s", client_address[0])


class _Response(ServerHandler):
    """The response to one request. It logs a failure of the app, and does not print it."""

    server_software = "switchboard"

    def log_exception(self, exc_info: Any) -> None:
        logger.error("a page for administrators failed", exc_info=exc_info)


class _Handler(WSGIRequestHandler):
    """The handler of one connection, which serves one request of HTTP/1.0."""

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536 or not self.parse_request():  # noqa: PLR2004 - http.server's own limit
            return
        with contextlib.suppress(OSError):  # the client is gone
            response = _Response(self.rfile, self.wfile, self.get_stderr(), self.get_environ())  # type: ignore[arg-type] # as wsgiref's own
            response.request_handler = self  # type: ignore[attr-defined] # as wsgiref's own handler sets it
            response.run(self.server.get_app())  # type: ignore[attr-defined]

    def address_string(self) -> str:
        # The base class would ask the DNS for the name of every client.
        return str(self.client_address[0])

    def log_message(self, *_args: Any) -> None:
        """Log nothing: probes come every second."""
