"""The interface of a session machine to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors import messages


class Machine(Protocol):
    """A session as a state machine: pure, with no thread, socket, clock or environment of its own."""

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Take an input; what is to be done about it, in order. An exception is a bug, and ends the session.

        `now_s` is the time on the dispatcher's clock, which never goes back: the machine has none of its own.
        """

    def describe(self) -> messages.Facts:
        """A few facts about it, for people and tests."""
