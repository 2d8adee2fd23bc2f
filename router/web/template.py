"""A template: a process that has imported the present code and read the configuration, and that forks workers.

The arbiter starts a template at a reload. The workers share the memory of the template's imports. If a worker dies, the
template forks another one of the same version, even if the code on the disk has changed since.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from router.web import handoff
from router.web.handoff import Fork, Forked, Handoff, Ready

if TYPE_CHECKING:
    import socket

LOOK_S: Final = 1.0
"""The seconds between two checks whether the arbiter still runs."""

ADOPTION_S: Final = 5.0
"""The longest wait in seconds until the arbiter is a new worker's parent."""

_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that reach the whole process group. The arbiter handles them, so a template ignores them."""


class Server(Protocol):
    """The part of the server that a template needs to fork its workers."""

    def ready(self) -> Ready:
        """Check that a router can be made, and return the report to the arbiter."""

    def work(self, slot: int | None, age: int) -> None:
        """Run a worker in this process. It leaves by `SystemExit`."""


def run(server: Server, channel: socket.socket, given: Handoff) -> None:
    """Fork workers until the arbiter ends this process. In a worker, serve; a worker leaves by `SystemExit`."""
    for signum in _IGNORED:
        signal.signal(signum, signal.SIG_IGN)
    ready = server.ready()
    _join_error_stream(given.stderr)
    gc.collect()
    gc.freeze()
    handoff.send(channel, ready)
    while os.getppid() == given.arbiter:
        if not select.select([channel], [], [], LOOK_S)[0]:
            continue
        order = handoff.receive(channel)
        if order is None:
            break
        if not isinstance(order, Fork):
            continue
        worker = _fork(given.arbiter)
        if not worker:
            channel.close()
            server.work(order.slot, order.age)
        with contextlib.suppress(OSError):  # the next check finds that the arbiter is gone
            handoff.send(channel, Forked(pid=worker))
    sys.stderr.flush()
    os._exit(0)


def _fork(arbiter: int) -> int:
    """Fork a worker. Return its process id in this process.

    In the worker return 0, as soon as the arbiter is its parent.

    Raises:
        OSError: the system has no room for another process.
    """
    read, write = os.pipe()
    between = os.fork()
    if between:
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            number = answer.read()
        os.waitpid(between, 0)
        if not number:
            raise OSError("the system has no room for another process")
        return int(number)
    try:
        worker = os.fork()
    except OSError:
        os._exit(1)  # the process between must not continue as a second template
    if worker:
        os.write(write, str(worker).encode())
        os._exit(0)
    for descriptor in (read, write):
        os.close(descriptor)
    until_s = time.monotonic() + ADOPTION_S
    while os.getppid() != arbiter and time.monotonic() < until_s:
        time.sleep(0.001)
    return 0


def _join_error_stream(stderr: int) -> None:
    """Copy this process's error lines so far to the error stream of the server, and use that stream from now on."""
    sys.stderr.flush()
    written = os.dup(2)
    os.dup2(stderr, 2)
    with os.fdopen(written, "rb") as lines, os.fdopen(stderr, "wb") as joined:
        lines.seek(0)
        shutil.copyfileobj(lines, joined)
