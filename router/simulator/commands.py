"""The commands of a simulated session, which the owner of its socket performs in order.

A session has no clock: time leaves as `StartTimer` and `Pause`, and a timer returns through `Session.fire`.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Send(msgspec.Struct, frozen=True):
    """Send one server event."""

    event: dict[str, Any]


class SendRaw(msgspec.Struct, frozen=True):
    """Send a text frame unchanged: a malformed one, which a fault asks for."""

    text: str


class StartTimer(msgspec.Struct, frozen=True):
    """Call `Session.fire(name)` after `delay_s`; a running timer of that name starts anew."""

    name: str
    delay_s: float


class CancelTimer(msgspec.Struct, frozen=True):
    """Cancel the timer, if it runs."""

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
    """Neither read nor write any more, and keep the socket open: not even a ping is answered."""


Command = Send | SendRaw | StartTimer | CancelTimer | Pause | Close | Reset | Hang
