"""What a simulated session asks for: commands, performed in order by whoever owns its socket.

A session has no clock: time leaves as `StartTimer` and `Pause`, and a timer comes back through `Session.fire`.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Send(msgspec.Struct, frozen=True):
    """Send one server event."""

    event: dict[str, Any]


class SendRaw(msgspec.Struct, frozen=True):
    """Send a text frame as it is: what a fault wants to be malformed."""

    text: str


class StartTimer(msgspec.Struct, frozen=True):
    """Call `Session.fire(name)` after `delay_s`; a running timer of that name starts anew."""

    name: str
    delay_s: float


class CancelTimer(msgspec.Struct, frozen=True):
    """Forget the timer."""

    name: str


class Pause(msgspec.Struct, frozen=True):
    """Hold back every later frame, and the end of the connection, for `delay_s`."""

    delay_s: float


class Close(msgspec.Struct, frozen=True):
    """Begin the close handshake."""

    code: int
    reason: str


class Reset(msgspec.Struct, frozen=True):
    """End the connection without a close frame."""


class Hang(msgspec.Struct, frozen=True):
    """Neither read nor write any more, the socket staying open: the peer hears nothing, not even a pong."""


Command = Send | SendRaw | StartTimer | CancelTimer | Pause | Close | Reset | Hang
