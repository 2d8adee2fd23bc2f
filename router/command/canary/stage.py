"""A router on a free port of this machine, whose upstream connections can be cut off on purpose."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from actors.connections.upstream import DialError, DialTarget, UpstreamConnection, dial
from router import Principal
from router.core import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.config.model import RouterConfig

HOST: Final = "127.0.0.1"

POLL_S: Final = 0.05
"""The interval, in seconds, at which the server checks whether it has to stop."""


class Stage(Router):
    """A router that records its dials to upstreams."""

    def __init__(self, config: RouterConfig) -> None:
        # The configuration may demand credentials of other clients. The canary itself needs none.
        super().__init__(config, authenticate=lambda _request: Principal("canary"))
        self.dial_error: DialError | None = None
        """The latest failure of a dial, or None."""
        self._dialled = threading.Condition()
        self._dialled_at_s: list[float] = []
        """The monotonic time of each dial that succeeded."""
        self._upstreams: list[UpstreamConnection] = []

    def begin(self, environ: Any, profile: str, open_connection: Callable[[str | None], Any], **options: Any) -> Any:
        """Start a session whose dials the stage performs and records; see `Router.begin`."""
        return super().begin(environ, profile, open_connection, **{**options, "dialler": self._dial})

    @property
    def dials(self) -> int:
        """The number of dials that succeeded. Any thread may read it."""
        return len(self._dialled_at_s)

    def wait_for_dial(self, dials: int, timeout_s: float) -> float | None:
        """Wait for one more successful dial after the first `dials`.

        Return its monotonic time, or None after `timeout_s`.
        """
        with self._dialled:
            self._dialled.wait_for(lambda: self.dials > dials, timeout_s)
            return self._dialled_at_s[dials] if self.dials > dials else None

    def cut_upstream(self) -> None:
        """Cut the connection to the latest upstream, from any thread. The session sees the end of the stream."""
        self._upstreams[-1].abort_from_outside()

    def _dial(self, target: DialTarget) -> UpstreamConnection:
        # On a thread of the connector.
        try:
            upstream = dial(target)
        except DialError as error:
            self.dial_error = error
            raise
        with self._dialled:
            self._upstreams.append(upstream)
            self._dialled_at_s.append(time.monotonic())
            self._dialled.notify_all()
        return upstream


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A server with one thread for each request. The router takes over the socket of a call."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without the look-up of a host name in `HTTPServer.server_bind`, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing: stdout and stderr belong to the report."""


@contextlib.contextmanager
def serving(config: RouterConfig) -> Iterator[tuple[Stage, str]]:
    """Run a router during the block; yield it and the URL of the React component's route.

    Raises:
        StartError: the router cannot start.
    """
    router = Stage(config)
    router.start()
    server = make_server(HOST, 0, router.wsgi_app, _Server, _QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="canary's server", daemon=True)
    thread.start()
    try:
        yield router, f"ws://{HOST}:{server.server_port}{config.path}"
    finally:
        router.close(0.0)
        server.shutdown()
        server.server_close()
        thread.join()
