"""The interface between the engine and a session machine. The engine knows nothing else of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors import messages


class Machine(Protocol):
    """A session as a state machine: pure, with no thread, socket, clock or environment of its own."""

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input. Return the commands that follow, in order.

        `now_s` is the dispatcher's clock, which never goes back. An exception is a bug, and ends the session.
        """

    def describe(self) -> messages.Facts:
        """Return a few facts about the session, for people and tests."""
