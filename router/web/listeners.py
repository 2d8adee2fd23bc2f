"""The sockets on which the server listens, which it opens or gets from systemd, and limits of the process."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import socket
from typing import TYPE_CHECKING, Final

from router.config.parsers import host_and_port
from router.errors import StartError
from router.web import activation

if TYPE_CHECKING:
    from router.config.model import RouterConfig

logger = logging.getLogger(__name__)

BACKLOG: Final = 2048
"""The most connections that wait in the kernel. 500 callers may come within 2 s."""

OPEN_FILES: Final = 65536
"""The soft limit of open files. A session holds two sockets, so the usual limit of 1024 allows 500 sessions."""


def sockets(config: RouterConfig) -> tuple[socket.socket, socket.socket | None]:
    """Return the socket of the pages and sessions, and the administrators' socket if they have a separate one.

    Raises:
        StartError: the address cannot be listened on, or systemd passed another socket.
    """
    passed = activation.take()
    listener = _given(passed.get(activation.PAGES), config.host) or _listen(config.host, config.port)
    return listener, _admin_listener(passed.get(activation.ADMIN), config.admin_bind)


def _given(listener: socket.socket | None, host: str) -> socket.socket | None:
    if listener is not None:
        activation.check_address(listener, host)
    return listener


def _admin_listener(given: socket.socket | None, admin_bind: str | None) -> socket.socket | None:
    if admin_bind is not None:
        host, port = host_and_port(admin_bind)
        return _given(given, host) or _listen(host, port)
    if given is not None:
        raise StartError(f"systemd passed the socket {activation.ADMIN!r}: set --admin-bind, too")
    return None


def _listen(host: str, port: int) -> socket.socket:
    # Bound here, because gunicorn would try for 5 s and log ten lines about a failure.
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        raise StartError(f"cannot listen on {host}, port {port}: {_reason(error)}") from error


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "the host name is invalid"
    # A failed resolution has an error number that `os.strerror` does not know.
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}; correct --host"
    return os.strerror(error.errno or 0) + _REMEDIES.get(error.errno or 0, "")


_REMEDIES: Final = {
    errno.EADDRINUSE: "; end the program that has the port, or choose another with --port (0 takes a free one)",
    errno.EACCES: "; choose a port from 1024 on with --port",
    errno.EADDRNOTAVAIL: "; --host must be an address of this machine",
}


def write_no_core_file() -> None:
    """Set the limit of core files to 0 bytes for this process and its workers, because their memory has the keys."""
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def raise_open_files_limit() -> None:
    """Raise the soft limit of open files to `OPEN_FILES`, or to the hard limit if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= raised:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError) as error:  # macOS grants less than its own hard limit
        logger.warning("at most %d files can be open, and each call needs two: %s", soft, error)
