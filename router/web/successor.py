"""A template, as the arbiter sees it: a process with the present code and configuration, which forks workers.

The template is started from the command line of this process. It becomes the parent of no worker: it forks twice, and
the kernel gives the worker to the arbiter, which is a subreaper. See docs/decisions/0046-reload.md.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from typing import Final

import msgspec

from router.web import handoff
from router.web.handoff import Fork, Forked, Handoff, Ready

FORK_S: Final = 5.0
"""The longest time in seconds in which a template forks a worker."""

MAX_REASON_CHARS: Final = 300

_PR_SET_CHILD_SUBREAPER: Final = 36
"""The option of prctl(2) that makes a process a subreaper."""


class SuccessorError(Exception):
    """The template did not start, or is gone. The text has the reason."""


class Successor:
    """A template process, as the arbiter sees it. Only the arbiter's thread may call the methods.

    Args:
        given: the handoff; its field `stderr` is set here.
        command: the command line of the template; None for the command line of this process.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, given: Handoff, command: list[str] | None = None) -> None:
        _become_subreaper()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stderr = _error_stream()
        try:
            given = msgspec.structs.replace(given, stderr=stderr)
            handoff.send(self._channel, given)
            passed = (theirs.fileno(), stderr, given.listener, *(it for it, _ in given.areas.values()))
            self._process = subprocess.Popen(  # noqa: S603 - the command line of this process
                command or [sys.executable, *sys.orig_argv[1:]],
                stdin=subprocess.DEVNULL,
                stderr=self._output,
                env={**os.environ, handoff.VARIABLE: str(theirs.fileno())},
                pass_fds=passed if given.admin is None else (*passed, given.admin),
            )
        except OSError:
            self._channel.close()
            self._output.close()
            raise
        finally:
            theirs.close()
            os.close(stderr)
        self.pid = self._process.pid

    def poll(self) -> Ready | None:
        """Return the report of a template that has started; None while it starts.

        Raises:
            SuccessorError: the template has ended.
        """
        if not self._is_readable(0.0):
            return None
        match self._receive():
            case Ready() as ready:
                return ready
        raise SuccessorError(self._reason())

    @property
    def is_alive(self) -> bool:
        """Whether the template lives.

        It sends nothing without an order, so a readable channel means that it has ended.
        """
        return not self._is_readable(0.0)

    def fork(self, slot: int | None, age: int) -> int:
        """Fork a worker, and return its process id.

        Raises:
            SuccessorError: the template is gone, or does not answer.
        """
        try:
            handoff.send(self._channel, Fork(slot=slot, age=age))
        except OSError as error:
            raise SuccessorError(f"the template {self.pid} is gone") from error
        answer = self._receive() if self._is_readable(FORK_S) else None
        if not isinstance(answer, Forked):
            self._process.kill()  # then `is_alive` is false, and another template is started
            raise SuccessorError(f"the template {self.pid} forks no worker")
        return answer.pid

    def end(self) -> None:
        """End the template. Its workers are not affected."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        self._output.close()

    def _receive(self) -> handoff.Message | None:
        try:
            return handoff.receive(self._channel)
        except (OSError, msgspec.DecodeError):
            return None

    def _is_readable(self, timeout_s: float) -> bool:
        until_s = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        return bool(poll.poll(max(0.0, until_s - time.monotonic()) * 1000))

    def _reason(self) -> str:
        """Return the last line of the template's error stream."""
        self._output.seek(0)
        lines = [line.strip() for line in self._output.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1][:MAX_REASON_CHARS] if lines else "it ended without a word"


def _error_stream() -> int:
    try:
        return os.dup(2)
    except OSError:  # the shell closed it
        return os.open(os.devnull, os.O_WRONLY)


def _become_subreaper() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
