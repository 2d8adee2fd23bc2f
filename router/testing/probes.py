"""Actors that record what they are told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from actors.actor import Actor, Ref

if TYPE_CHECKING:
    from actors.dispatcher import Dispatcher

T = TypeVar("T")

TIMEOUT_S: Final = 5.0


class Probe(Actor):
    """Takes every message, and keeps it."""

    def __init__(self, dispatcher: Dispatcher, told: Told) -> None:
        super().__init__(dispatcher)
        self._told = told

    def on_receive(self, message: Any) -> Any:
        """Keep it. Who asks is answered with None."""
        self._told.add(message)

    @classmethod
    def begin(cls, dispatcher: Dispatcher) -> ProbeRef:
        """Start one."""
        told = Told()
        ref = cls.start(dispatcher, told)
        assert isinstance(ref, Ref)  # noqa: S101 - for the type checker
        return ProbeRef(ref, told)


class Told:
    """What was told, in order. From any thread."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._changed = threading.Condition()

    def add(self, message: Any) -> None:
        """Note a message."""
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    def all(self) -> list[Any]:
        """What there is so far."""
        with self._changed:
            return list(self._messages)

    def wait_for(self, kind: type[T], timeout_s: float) -> T:
        """The first message of a type, which may have come already; see `ProbeRef.wait_for`."""
        with self._changed:
            self._changed.wait_for(lambda: self._first(kind) is not None, timeout_s)
            found = self._first(kind)
        if found is None:
            raise AssertionError(f"no {kind.__name__} within {timeout_s:g} s; told were {self.all()}")
        return found

    def _first(self, kind: type[T]) -> T | None:
        return next((message for message in self._messages if isinstance(message, kind)), None)


class ProbeRef:
    """A probe, as a test holds it."""

    def __init__(self, ref: Ref, told: Told) -> None:
        self.ref = ref
        """What other actors are given: `AttachClient(probe.ref)`."""
        self._told = told

    @property
    def told(self) -> list[Any]:
        """Everything that it was told so far, in order."""
        return self._told.all()

    def wait_for(self, kind: type[T], timeout_s: float = TIMEOUT_S) -> T:
        """Return the first message of a type that it was or will be told.

        Raises:
            AssertionError: there is none in time; it says what else there was.
        """
        return self._told.wait_for(kind, timeout_s)

    def stop(self) -> None:
        """End it, and wait for that."""
        self.ref.stop(timeout=TIMEOUT_S)
