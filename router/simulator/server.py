"""The HTTP side of the simulator. It accepts upgrades on a listening socket that the dispatcher watches.

A short-lived thread serves each request. An upgraded connection moves to the dispatcher, and the thread ends.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from http.client import responses
from socketserver import ThreadingMixIn
from typing import IO, TYPE_CHECKING, Any, Final, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer
from wsgiref.util import is_hop_by_hop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 10.0
"""The time, in seconds, that a peer may take to send its request."""

_MAX_LINE_BYTES: Final = 65536
"""The longest request line in bytes, as in the standard library."""


class _Handler(ServerHandler):
    http_version = "1.1"

    def __init__(self, request: RequestHandler, environ: dict[str, Any]) -> None:
        # typeshed types the request's streams and the handler's parameters differently.
        streams = cast("tuple[IO[bytes], IO[bytes]]", (request.rfile, request.wfile))
        super().__init__(*streams, request.get_stderr(), environ)
        self.request_handler = request


class RequestHandler(WSGIRequestHandler):
    """A handler that puts the request's socket into the WSGI environment under Werkzeug's key."""

    timeout = REQUEST_TIMEOUT_S

    def get_environ(self) -> dict[str, Any]:
        """Return the WSGI environment with the request's socket."""
        environ = super().get_environ()
        environ["werkzeug.socket"] = self.connection
        # wsgiref puts the server's version here, but the handshake needs the request's version.
        environ["SERVER_PROTOCOL"] = self.request_version
        return environ

    def handle(self) -> None:
        """Serve one request as HTTP/1.1, because WebSocket clients accept no other version."""
        self.raw_requestline = self.rfile.readline(_MAX_LINE_BYTES)
        if self.parse_request():
            handler = _Handler(self, self.get_environ())
            handler.run(self.server.get_app())  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Log at debug level, because the library would print to stderr."""
        logger.debug("%s: %s", self.address_string(), format % args)


class HttpServer(ThreadingMixIn, WSGIServer):
    """A WSGI server without an accepting thread: the dispatcher calls `handle_request` when its socket is readable."""

    daemon_threads = True
    request_queue_size = 512
    timeout = 0

    def __init__(self, address: tuple[str, int], application: Application) -> None:
        self._requests: dict[threading.Thread, socket.socket] = {}
        super().__init__(address, RequestHandler)
        self.set_app(application)

    def server_bind(self) -> None:
        """Bind without a DNS lookup of the host's own name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one request on a separate thread, which `end_requests` joins."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="simulator-request",
            daemon=self.daemon_threads,
        )
        # This needs no lock: only the dispatcher's thread calls it, and `end_requests` runs when that thread accepts no
        # more.
        self._requests = {known: served for known, served in self._requests.items() if known.is_alive()}
        thread.start()
        self._requests[thread] = request

    def end_requests(self, timeout_s: float) -> None:
        """Shut down the sockets of unfinished requests, and join their threads.

        The caller has to stop the listening first.
        """
        for thread, request in self._requests.items():
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:  # the request has just ended, and its socket is closed
                logger.debug("request ended by itself")
            thread.join(timeout_s)


def answer(
    start_response: StartResponse, status: int, text: str, headers: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    """Start an HTTP response with a line of plain text, and return its body."""
    body = f"{text}\n".encode()
    phrase = responses.get(status, "Status")
    start_response(
        f"{status} {phrase}",
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            # wsgiref asserts that an application sets no hop-by-hop header.
            *(header for header in headers if not is_hop_by_hop(header[0])),
        ],
    )
    return [body]
