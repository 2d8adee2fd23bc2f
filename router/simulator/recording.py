"""Records of the connections, bounded and thread-safe. Tests wait on them without sleeping."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connections.base import ConnectionClosed

T = TypeVar("T")

_APPEND = "input_audio_buffer.append"


class ConnectionRecord:
    """The record of one connection: its request, its client events and its end. Any thread may read it."""

    def __init__(self, number: int, headers: dict[str, str], query: dict[str, str], max_events: int) -> None:
        self.number = number
        """The number of the connection's handshake, counted from 1 within the simulator."""
        self.headers = headers
        """The request's headers, with names in lower case."""
        self.query = query
        self.events: list[dict[str, Any]] = []
        """Client events in order.

        Consecutive `input_audio_buffer.append` events share one entry, with `count` and `audio_bytes`.
        """
        self.dropped_events = 0
        """The number of events beyond the limit, which are not kept. Appended audio does not count."""
        self.sent: Counter[str] = Counter()
        """The number of server events sent, by type."""
        self.audio_bytes = 0
        """The size of all appended audio in bytes, estimated from the length of its base64."""
        self.refused_status: int | None = None
        """The HTTP status that refused the upgrade; None if the upgrade succeeded."""
        self.closed: ConnectionClosed | None = None
        """The end of the connection, with the close code and reason; None while it is open."""
        self._max_events = max_events

    def types(self) -> list[str]:
        """Return the types of the events, in order."""
        return [event.get("type", "") for event in self.events]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one type, in order."""
        return [event for event in self.events if event.get("type") == kind]

    def add(self, event: dict[str, Any]) -> None:
        """Add an event without its audio. `Recorder` calls this method."""
        if event.get("type") == _APPEND:
            self._add_append(event)
        elif len(self.events) < self._max_events:
            self.events.append(_without_audio(event))
        else:
            self.dropped_events += 1

    def _add_append(self, event: dict[str, Any]) -> None:
        length = len(str(event.get("audio", ""))) * 3 // 4
        self.audio_bytes += length
        last = self.events[-1] if self.events else {}
        if last.get("type") == _APPEND:
            # The entry is replaced and not changed, because another thread may be reading it.
            self.events[-1] = {**last, "count": last["count"] + 1, "audio_bytes": last["audio_bytes"] + length}
        elif len(self.events) < self._max_events:
            self.events.append({"type": _APPEND, "count": 1, "audio_bytes": length})


def _without_audio(event: dict[str, Any]) -> dict[str, Any]:
    item = event.get("item")
    content = item.get("content") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(content, list):
        return event
    parts = [
        {**part, "audio": f"({len(str(part['audio']))} characters)"}
        if isinstance(part, dict) and "audio" in part
        else part
        for part in content
    ]
    return {**event, "item": {**item, "content": parts}}


class Recorder:
    """The records of the newest connections."""

    def __init__(self, max_connections: int, max_events: int) -> None:
        self._changed = threading.Condition()
        self._records: deque[ConnectionRecord] = deque(maxlen=max_connections)
        self._max_events = max_events
        self._opened = 0

    @property
    def keeps_events(self) -> bool:
        """Whether the records keep client events."""
        return self._max_events > 0

    def connections(self) -> list[ConnectionRecord]:
        """Return the records, oldest first."""
        with self._changed:
            return list(self._records)

    def open(self, headers: dict[str, str], query: dict[str, str]) -> ConnectionRecord:
        """Add the record of a new connection, and return it."""
        with self._changed:
            self._opened += 1
            record = ConnectionRecord(self._opened, headers, query, self._max_events)
            self._records.append(record)
            self._changed.notify_all()
            return record

    def received(self, record: ConnectionRecord, event: dict[str, Any]) -> None:
        """Record a client event."""
        with self._changed:
            record.add(event)
            self._changed.notify_all()

    def sent(self, record: ConnectionRecord, kind: str) -> None:
        """Record a server event."""
        record.sent[kind] += 1
        # Deltas wake no waiting thread, because they are too many.
        if not kind.endswith(".delta"):
            self.notify()

    def closed(self, record: ConnectionRecord, closed: ConnectionClosed) -> None:
        """Record the end of a connection."""
        with self._changed:
            record.closed = closed
            self._changed.notify_all()

    def refused(self, record: ConnectionRecord, status: int) -> None:
        """Record the refusal of a handshake."""
        with self._changed:
            record.refused_status = status
            self._changed.notify_all()

    def notify(self) -> None:
        """Wake the waiting threads to evaluate their predicates."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, predicate: Callable[[], T], timeout_s: float) -> T:
        """Wait until `predicate` returns a true value, and return that value.

        The records are locked while the predicate runs.

        Raises:
            TimeoutError: no true value within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not (value := predicate()):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            value = value or predicate()
        if not value:
            raise TimeoutError(f"the predicate was not true within {timeout_s:g} s: {self._records!r}")
        return value
