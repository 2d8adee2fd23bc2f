"""Machines around a session's machine. They keep the snapshot of a lost call, greet a client, and take it back.

A snapshot is taken before the input that ends the session, because the end cancels the work in progress.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from actors import messages
from actors.connections.close_codes import CloseCode
from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.json_bounds import exceeded_bound, is_too_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.machine import Machine

logger = logging.getLogger(__name__)

ENDED_BY_CLIENT: Final = frozenset({CloseCode.NORMAL_CLOSURE})
"""The close codes with which a client ends its call on purpose."""


class Carried(Protocol):
    """A session that can be stored as bytes."""

    @property
    def snapshot_due(self) -> int:
        """A number that changes when the session has to be stored again."""

    def snapshot(self) -> bytes:
        """Return the session as bytes; raises ValueError if the session cannot be written."""


class Returned(Protocol):
    """The session of a client that has come back."""

    repeats_settings: bool
    """Whether the client may send its Settings again. This flag moves with the session to another process."""

    @property
    def is_applied(self) -> bool:
        """Whether the client has received `SettingsApplied`."""


class KeepingMachine:
    """The machine of a session whose client may come back.

    Args:
        machine: the machine of the session.
        carried: the same session, in the form that can be stored.
        keep: takes the snapshot of a lost call; it must not block.
    """

    def __init__(self, machine: Machine, carried: Carried, keep: Callable[[bytes], None]) -> None:
        self._machine = machine
        self._carried = carried
        self._keep = keep
        self._is_draining = False
        self._due = -1
        self._last: bytes | None = None
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input as the machine does.

        Keep a snapshot if the client is lost, or if a drain closes its connection.
        """
        kind = type(message)
        if kind is messages.ClientClosed:
            self._client_closed(message)
        elif kind is messages.DrainBegan:
            self._is_draining = True
        if not self._is_draining:
            return self._machine.handle(message, now_s)
        return self._drain(message, now_s)

    def _client_closed(self, message: messages.Input) -> None:
        if isinstance(message, messages.ClientClosed) and message.closed.code not in ENDED_BY_CLIENT:
            self._take()
            self._give()

    def _drain(self, message: messages.Input, now_s: float) -> list[messages.Command]:
        if self._due != self._carried.snapshot_due:
            self._take()
        commands = list(self._machine.handle(message, now_s))
        if any(isinstance(it, messages.EndSession) and it.code == CloseCode.SERVICE_RESTART for it in commands):
            self._give()
        return commands

    def _take(self) -> None:
        self._due = self._carried.snapshot_due
        try:
            self._last = self._carried.snapshot()
        except ValueError as error:
            logger.info("a lost call is not kept: %s", error)
            self._last = None

    def _give(self) -> None:
        if self._last is not None:
            self._keep(self._last)
            self._last = None


class ReturningMachine:
    """The machine of a session whose client has come back.

    A client that does not know that its session continues sends its Settings again. The machine answers them, but does
    not apply them.
    """

    def __init__(self, machine: Machine, carried: Returned) -> None:
        self._machine = machine
        self._carried = carried
        self._is_applied = carried.is_applied
        carried.repeats_settings = True
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input as the machine does, except the first Settings."""
        if not isinstance(message, messages.ClientTextReceived) or not _are_settings(message.text):
            return self._machine.handle(message, now_s)
        setattr(self, "handle", self._machine.handle)  # noqa: B010 - a type checker takes it for a method
        self._carried.repeats_settings = False
        # If the session still waits for its upstream, the session itself sends SettingsApplied later.
        return [messages.SendToClient(codec.encode(deepgram.SettingsApplied()))] if self._is_applied else []


class GreetingMachine:
    """The machine of a session whose upstream sends the first event. It adds fields to this event.

    Args:
        machine: the machine of the session.
        kinds: the types of an event that begins a session.
        fields: the fields to add.
    """

    def __init__(self, machine: Machine, kinds: frozenset[str], fields: dict[str, Any]) -> None:
        self._machine = machine
        self._kinds = kinds
        self._fields = fields
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input as the machine does. Change the first text for the client if it begins the session."""
        commands = list(self._machine.handle(message, now_s))
        for place, command in enumerate(commands):
            if isinstance(command, messages.SendToClient):
                # In a session from another process the first text may be any other.
                setattr(self, "handle", self._machine.handle)  # noqa: B010 - a type checker takes it for a method
                commands[place] = self._greeting(command)
                break
        return commands

    def _greeting(self, command: messages.SendToClient) -> messages.SendToClient:
        event = _fields(command.frame)
        kind = event.get("type")
        if not isinstance(kind, str) or kind not in self._kinds:
            return command
        return messages.SendToClient(orjson.dumps({**event, **self._fields}).decode())


def _are_settings(text: str) -> bool:
    return '"Settings"' in text and _fields(text).get("type") == "Settings"


def _fields(frame: str | bytes) -> dict[str, Any]:
    """Return the fields of a text frame; none if it is no object, or exceeds a bound."""
    if isinstance(frame, bytes) or exceeded_bound(frame) is not None:
        return {}
    try:
        fields = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return {}
    # The depth of a long text was not counted, and the fields may be written again.
    return fields if isinstance(fields, dict) and not is_too_deep(fields) else {}
