"""The end of a session's wait for Settings, observed from outside of the session's machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.machine import Machine

WAITING: Final = "awaiting Settings"
"""The value of `lifecycle` in `Session.describe` before the session has its Settings."""


class UntilSettings:
    """A wrapper of a machine, which reports once that the session has its Settings.

    From then on the wrapper costs nothing.

    Args:
        machine: the machine, which may be a front around the session.
        facts_of_session: the `describe` of the session itself.
        on_settings: the function that is called once, on the dispatcher, when the session has its Settings.
    """

    def __init__(
        self, machine: Machine, facts_of_session: Callable[[], messages.Facts], on_settings: Callable[[], None]
    ) -> None:
        self._machine = machine
        self._facts_of_session = facts_of_session
        self._on_settings = on_settings
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Let the machine handle an input, and call `on_settings` if the session has its Settings now."""
        commands = self._machine.handle(message, now_s)
        if isinstance(message, messages.ClientTextReceived) and self._facts_of_session().get("lifecycle") != WAITING:
            self._on_settings()
            setattr(self, "handle", self._machine.handle)  # noqa: B010 - a type checker takes it for a method
        return commands
