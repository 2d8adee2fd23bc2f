"""An actor that records the messages that it receives, for tests."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any, Final, TypeVar

from actors.actor import Actor, Ref

if TYPE_CHECKING:
    from actors.dispatcher import Dispatcher

T = TypeVar("T")

TIMEOUT_S: Final = 5.0


class Probe(Actor):
    """An actor that takes every message and records it."""

    def __init__(self, dispatcher: Dispatcher, recording: Recording) -> None:
        super().__init__(dispatcher)
        self._recording = recording

    def on_receive(self, message: Any) -> Any:
        """Record a message. The answer to an `ask` is None."""
        self._recording.add(message)

    @classmethod
    def begin(cls, dispatcher: Dispatcher) -> ProbeRef:
        """Start a probe on a dispatcher, and return its handle."""
        recording = Recording()
        ref = cls.start(dispatcher, recording)
        assert isinstance(ref, Ref)  # noqa: S101 - for the type checker
        return ProbeRef(ref, recording)


class Recording:
    """The messages of a probe, in order. Any thread may call its methods."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._changed = threading.Condition()

    def add(self, message: Any) -> None:
        """Record a message."""
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    def all(self) -> list[Any]:
        """Return a copy of the messages so far."""
        with self._changed:
            return list(self._messages)

    def wait_for(self, kind: type[T], timeout_s: float) -> T:
        """Wait for a message of a type, and return the first one in the recording; see `ProbeRef.wait_for`."""
        with self._changed:
            self._changed.wait_for(lambda: self._first(kind) is not None, timeout_s)
            found = self._first(kind)
        if found is None:
            raise AssertionError(f"no {kind.__name__} within {timeout_s:g} s; received were {self.all()}")
        return found

    def _first(self, kind: type[T]) -> T | None:
        return next((message for message in self._messages if isinstance(message, kind)), None)


class ProbeRef:
    """The handle of a probe in a test."""

    def __init__(self, ref: Ref, recording: Recording) -> None:
        self.ref = ref
        """The reference to pass to other actors, as in `AttachClient(probe.ref)`."""
        self._recording = recording

    @property
    def received(self) -> list[Any]:
        """The messages that the probe has received so far, in order."""
        return self._recording.all()

    @property
    def told(self) -> list[Any]:
        """The messages in `received`. Deprecated: use `received`."""
        warnings.warn("ProbeRef.told is called received now", DeprecationWarning, stacklevel=2)
        return self.received

    def wait_for(self, kind: type[T], timeout_s: float = TIMEOUT_S) -> T:
        """Return the first message of a type that the probe has received, or receives within `timeout_s`.

        Raises:
            AssertionError: no such message came in time; the text has the other messages.
        """
        return self._recording.wait_for(kind, timeout_s)

    def stop(self) -> None:
        """Stop the probe, and wait for its end."""
        self.ref.stop(timeout=TIMEOUT_S)
