"""One deadline for a whole HTTP exchange, whatever the pace of the other side."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def shut_down_at(sock: socket.socket, deadline_s: float) -> Iterator[None]:
    """Shut a socket down at a moment of the monotonic clock, unless the block has ended before.

    A socket's own time-out restarts with every byte, so a peer that drips would hold the thread without end.
    """
    timer = threading.Timer(max(0.0, deadline_s - time.monotonic()), _shut_down, (sock,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # By the plain class, because the TLS socket's own shutdown is not safe beside a reading thread.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
