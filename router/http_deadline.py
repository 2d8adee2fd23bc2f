"""One deadline for a whole HTTP exchange, however slowly the peer sends."""

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
    """Shut a socket down at a time of the monotonic clock, unless the block has ended before that time.

    A socket's own time-out restarts with every byte. So a peer that sends single bytes would hold the thread without
    end.
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
        # The plain class is used, because the TLS socket's own shutdown is not safe while another thread reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
