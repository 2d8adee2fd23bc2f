"""The messages between the arbiter and a template, and what a template inherits.

The two processes may run different versions of this module: unknown fields are ignored, and a new field needs a
default.
"""

from __future__ import annotations

import os
import socket
from typing import Final

import msgspec

VARIABLE: Final = "SWITCHBOARD_TEMPLATE"
"""The environment variable with the descriptor of a template's channel."""

MAX_PACKET_BYTES: Final = 65536


class Handoff(msgspec.Struct, kw_only=True, tag="handoff"):
    """The first message to a template: the parts of the running server, as numbers of descriptors and as paths."""

    arbiter: int
    """The process id of the arbiter."""
    listener: int
    admin: int | None = None
    """The listener of the pages for administrators, if they have a separate address."""
    stderr: int
    """The error stream of the server. Until the template has started, its own error stream is a file."""
    slots: int
    """The number of slots for workers."""
    peers: str
    """The folder of the workers' sockets."""
    areas: dict[str, tuple[int, int]]
    """The shared memory: the descriptor and the size of each area."""


class Ready(msgspec.Struct, kw_only=True, tag="ready"):
    """The report that the template has imported and checked everything, and can be forked."""

    workers: int
    """The configured number of workers."""
    drain_s: float


class Fork(msgspec.Struct, kw_only=True, tag="fork"):
    """The order to fork a worker."""

    slot: int | None
    age: int
    """The number of the worker, counted since the start of the server."""


class Forked(msgspec.Struct, kw_only=True, tag="forked"):
    """The answer to `Fork`."""

    pid: int


Message = Handoff | Ready | Fork | Forked

_decoder: Final = msgspec.json.Decoder(Message)


def send(channel: socket.socket, message: Message) -> None:
    """Send a message."""
    channel.send(msgspec.json.encode(message))


def receive(channel: socket.socket) -> Message | None:
    """Receive a message; return None if the other process has gone."""
    packet = channel.recv(MAX_PACKET_BYTES)
    return _decoder.decode(packet) if packet else None


def inherited() -> tuple[socket.socket, Handoff] | None:
    """Return a template's channel and its handoff; None in a process that is no template."""
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is None:
        return None
    channel = socket.socket(fileno=int(descriptor))
    message = receive(channel)
    return (channel, message) if isinstance(message, Handoff) else None
