"""The fault matrix over real sockets. Each cell has its own router, simulator and client, in this process."""

import atexit
import base64
import contextlib
import functools
import hashlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from router.config.model import Deadlines
from router.simulator import SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.cells import Medium, last_frames
from tests.support.faults.matrix import Cell, Route
from tests.support.faults.world import Authority, World, dead_port, world

PROMPT_S = 1.0
"""The longest time from a loss to the answer in seconds, on a busy machine."""

ALWAYS = 1000

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@contextlib.contextmanager
def open_world(
    profile: str,
    modality: str,  # noqa: ARG001 - the same world for both
    deadlines: Deadlines,
    cell: Cell | None,
) -> Iterator[tuple[World, WireClient]]:
    """Start a world and its client for a conversation; see `Medium.open`."""
    faults = cell.faults if cell else ()
    uses_tls = cell is not None and cell.detour is Route.NO_TLS
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(
            world(
                SimulatorConfig(pace=0, faults=faults),
                authority=authority() if uses_tls else None,
                deadlines=deadlines,
            )
        )
        if cell is not None:
            _plan_detour(stack, cell, here)
        yield here, stack.enter_context(here.call(profile))


SOCKETS = Medium("over sockets", open_world, lambda _cell: PROMPT_S)


# Dials that never reach the simulator.


@functools.cache
def authority() -> Authority:
    """Return the certificate authority of this test run."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Authority(Path(folder.name))


def _plan_detour(stack: contextlib.ExitStack, cell: Cell, here: World) -> None:
    first, times = cell.column.dial, cell.times or ALWAYS
    match cell.detour:
        case Route.REFUSED:
            here.routes[0].detour(first, stack.enter_context(dead_port()), times=times)
        case Route.UNKNOWN:
            here.routes[0].detour(first, None, times=times)
        case Route.NO_TLS:  # a server that does not speak it
            port = int(here.simulator.url.rsplit(":", 1)[1].split("/")[0])
            here.routes[0].detour(first, port, times=times)
        case Route.ABRUPT:
            here.routes[0].detour(first, stack.enter_context(abrupt(last_frames(cell))), times=times)


@contextlib.contextmanager
def abrupt(frames: bytes) -> Iterator[int]:
    """Run a server whose last frames are in the packet that completes the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve_abruptly, args=(listener, frames), name="abrupt")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve_abruptly(listener: socket.socket, frames: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(1.0)
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n") if b": " in line)
                accept = base64.b64encode(hashlib.sha1(lines[b"Sec-WebSocket-Key"] + GUID).digest())  # noqa: S324
                head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                connection.sendall(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + frames)
                with contextlib.suppress(TimeoutError):
                    connection.recv(65536)
