"""A router with an upstream that fails on demand, all in this process and over real sockets.

A `World` has one router, the simulators behind it, and the route of its dials. The route makes the faults that no
upstream can make itself: a name that does not resolve, a port without a listener, a certificate that is not trusted.
`Route`s resolve the names below `.fault.test`, and the system resolves every other name.
"""

import contextlib
import itertools
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import trustme

from actors.connections.handover import HandshakeRefused
from router.config.model import Deadlines, RouterConfig
from router.config.upstream import Upstream
from router.core import Router
from router.simulator import Simulator, SimulatorConfig
from router.simulator.recording import ConnectionRecord
from tests.support.clients.wire_client import WireClient
from tests.support.data.oracle import assert_client_event

DOMAIN = ".fault.test"
PROFILES = ("openai", "converse")

DEADLINES = Deadlines(
    dial_s=0.6,
    session_created_s=0.5,
    session_updated_s=0.5,
    item_ack_s=0.4,
    first_event_s=0.5,
    next_event_s=0.5,
    response_s=5.0,
    tool_answer_s=5.0,
    restart_s=1.5,
    close_s=0.3,
    ping_interval_s=0.4,
    ping_timeout_s=0.8,
)
"""Short deadlines, but long enough that a busy machine does not look like a dead upstream."""


class Route:
    """The target of the dials to one name: `port`, except for the dials with a detour."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.dials = 0
        """The number of dials so far."""
        self._detours: list[tuple[range, int | None]] = []
        self._lock = threading.Lock()

    def detour(self, nth: int, port: int | None, *, times: int = 1) -> None:
        """Lead `times` dials from the `nth` on (counted from 1) to another port, or to no address if `port` is None."""
        self._detours.append((range(nth, nth + times), port))

    def take(self) -> int | None:
        """Return the port for the next dial."""
        with self._lock:
            self.dials += 1
            return next((port for dials, port in self._detours if self.dials in dials), self.port)


_routes: dict[str, Route] = {}
_numbers = itertools.count(1)
_system_getaddrinfo = socket.getaddrinfo


def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    """Stand in for `socket.getaddrinfo`."""
    if not (isinstance(host, str) and host.endswith(DOMAIN)):
        return _system_getaddrinfo(host, port, *args, **kwargs)
    route = _routes.get(host)
    found = None if route is None else route.take()
    if found is None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", found))]


@contextlib.contextmanager
def name_for(port: int) -> Iterator[tuple[str, Route]]:
    """Yield a new name and its route."""
    name, route = f"upstream-{next(_numbers)}{DOMAIN}", Route(port)
    _routes[name] = route
    try:
        yield name, route
    finally:
        del _routes[name]


@contextlib.contextmanager
def dead_port() -> Iterator[int]:
    """Yield a port that refuses connections, and that no other program gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class Served:
    """A router behind the smallest HTTP server that can hand a socket over. The path is the name of the profile."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._thread = threading.Thread(target=self._serve, name="served")
        self._thread.start()

    def url(self, profile: str) -> str:
        """Return the URL for clients of a profile."""
        return f"ws://127.0.0.1:{self._listener.getsockname()[1]}/{profile}"

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    self._accept(connection)

    def _accept(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            received = connection.recv(65536)
            if not received:
                return
            head += received
        request, *lines = head.decode().splitlines()[:-1]
        path, _, query = request.split()[1].partition("?")
        environ = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": query}
        environ["werkzeug.socket"] = connection
        for name, _, value in (line.partition(": ") for line in lines):
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        try:
            self._router.accept(environ, path.strip("/"))
        except HandshakeRefused as refused:
            connection.sendall(f"HTTP/1.1 {int(refused.status)} No\r\nContent-Length: 0\r\n\r\n".encode())

    def close(self) -> None:
        """Stop listening, and end the thread."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


class World:
    """One router, its simulators, and the routes between them. `world` makes it."""

    def __init__(self, router: Router, served: Served, simulators: list[Simulator], routes: list[Route]) -> None:
        self.router = router
        self.served = served
        self.simulators = simulators
        self.routes = routes

    @property
    def simulator(self) -> Simulator:
        """The first simulator."""
        return self.simulators[0]

    def url(self, profile: str) -> str:
        """Return the URL for clients of a profile."""
        return self.served.url(profile)

    def call(self, profile: str) -> WireClient:
        """Connect a client of a profile."""
        return WireClient(self.url(profile))


@contextlib.contextmanager
def world(
    *simulators: SimulatorConfig,
    authority: "Authority | None" = None,
    rewrite: Callable[[bytes], bytes] | None = None,
    accounts: Sequence[dict[str, Any]] = (),
    hooks: dict[str, Any] | None = None,
    **config: Any,
) -> Iterator[World]:
    """Start a world with one upstream for each configuration.

    With an authority the upstreams are behind TLS. `rewrite` changes the bytes that they send. `accounts` has further
    fields for each `Upstream`, and `config` has fields of the `RouterConfig`.
    """
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(Simulator(given)) for given in simulators or (SimulatorConfig(pace=0),)]
        ports = [int(simulator.url.rsplit(":", 1)[1].split("/")[0]) for simulator in running]
        if authority is not None or rewrite is not None:
            fronts = [Front(port, authority and authority.context, rewrite) for port in ports]
            for front in fronts:
                stack.callback(front.close)
            ports = [front.port for front in fronts]
        if authority is not None:
            config["ca_file"] = authority.ca_file
        named = [stack.enter_context(name_for(port)) for port in ports]
        scheme = "ws" if authority is None else "wss"
        urls = [f"{scheme}://{name}/v1/realtime" for name, _ in named]
        given = accounts or [{}] * len(urls)
        upstreams = tuple(Upstream(**{"url": url, **account}) for url, account in zip(urls, given, strict=True))
        router = Router(
            RouterConfig(**{"deadlines": DEADLINES, "upstreams": upstreams, **config}), **(hooks or {})
        ).start()
        stack.callback(router.close, drain_s=0)
        served = Served(router)
        stack.callback(served.close)
        yield World(router, served, running, [route for _, route in named])
    for simulator in running:
        judge(simulator)


class Recording(Protocol):
    """The part of a simulator that has its records."""

    @property
    def connections(self) -> list[ConnectionRecord]: ...


def judge(simulator: Recording) -> None:
    """Let the oracle judge every event that a simulator received. Its records have no audio."""
    for event in (event for record in simulator.connections for event in record.events):
        if event["type"] != "input_audio_buffer.append":
            assert_client_event(event)


class Front:
    """A server in front of one simulator, with TLS or without. A thread for each connection relays it."""

    def __init__(
        self, port: int, context: ssl.SSLContext | None, rewrite: Callable[[bytes], bytes] | None = None
    ) -> None:
        self._to = port
        self._context = context
        self._rewrite = rewrite
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="front")]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), name="relay")
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            with self._secured(connection) as outer, socket.create_connection(("127.0.0.1", self._to)) as inner:
                self._open += [outer, inner]
                outer.settimeout(None)
                self._relay(outer, inner)

    def _secured(self, connection: socket.socket) -> socket.socket:
        return connection if self._context is None else self._context.wrap_socket(connection, server_side=True)

    def _relay(self, outer: socket.socket, inner: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(outer, selectors.EVENT_READ)
            selector.register(inner, selectors.EVENT_READ)
            while True:
                for key, _ in [*selector.select()]:
                    data = _received(key.fileobj)
                    if not data:
                        return
                    if key.fileobj is outer:
                        inner.sendall(data)
                    else:
                        outer.sendall(self._rewrite(data) if self._rewrite is not None else data)

    def close(self) -> None:
        """End every connection and thread."""
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


def _received(sock: Any) -> bytes:
    data: bytes = sock.recv(65536)
    while isinstance(sock, ssl.SSLSocket) and sock.pending():
        data += sock.recv(65536)
    return data


class Authority:
    """The authority that signs the certificates of a test run."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(f"*{DOMAIN}").configure_cert(self.context)
