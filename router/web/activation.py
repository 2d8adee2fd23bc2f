"""Listening sockets that systemd has opened for the server (sd_listen_fds(3)): the socket activation of its unit."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

from router.config.auth import is_loopback
from router.errors import StartError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FIRST: Final = 3
"""The descriptor of the first socket."""

ADMIN: Final = "admin"
"""The name (`FileDescriptorName=`) of the administrators' socket. A socket of any other name is the main one."""

PAGES: Final = "main"


def take(environ: MutableMapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """Take the listening sockets over from systemd, and return them by their use: `PAGES` or `ADMIN`.

    The result is empty if systemd passed no socket.

    Remove systemd's environment variables, because a child process would not have these sockets.

    Raises:
        StartError: a descriptor is no listening TCP socket, or two of them have the same use.
    """
    is_for_us = environ.pop("LISTEN_PID", "") == str(os.getpid())
    count, names = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_FDNAMES", "").split(":")
    taken: dict[str, socket.socket] = {}
    if not is_for_us or not count.isdecimal():
        return taken
    with contextlib.ExitStack() as undo:
        for number in range(int(count)):
            found = undo.enter_context(_socket_of(FIRST + number))
            use = ADMIN if names[number : number + 1] == [ADMIN] else PAGES
            if use in taken:
                raise StartError(f"systemd passed two sockets: name one of them FileDescriptorName={ADMIN}")
            _check_kind(found)
            taken[use] = found
        undo.pop_all()
    return taken


def _socket_of(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(f"descriptor {descriptor} of systemd is no socket") from error


def _check_kind(found: socket.socket) -> None:
    is_tcp = found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM
    if not is_tcp or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise StartError("a socket of systemd is no listening TCP socket: use ListenStream=PORT in its unit")


def check_address(listener: socket.socket, host: str) -> None:
    """Check that a socket of systemd listens only on this machine if `host` is a loopback address.

    The check that demands authentication trusts `host`, so a wider socket would evade it.

    Raises:
        StartError: the socket listens beyond this machine, and `host` is an address of this machine alone.
    """
    address = listener.getsockname()[0]
    if is_loopback(host) and not is_loopback(address):
        raise StartError(
            f"systemd listens on {address}, and --host is {host}: set --host {address}, and authentication with it"
        )
