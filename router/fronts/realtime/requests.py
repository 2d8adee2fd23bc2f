"""The client's events that an upstream has not acknowledged, and those that wait for an upstream."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.fronts.realtime.responses import Request
    from router.fronts.realtime.wire import Event, Fields

APPEND: Final = "input_audio_buffer.append"
COMMIT: Final = "input_audio_buffer.commit"
CLEAR: Final = "input_audio_buffer.clear"
UPDATE: Final = "session.update"
CREATE_ITEM: Final = "conversation.item.create"
RETRIEVE: Final = "conversation.item.retrieve"
TRUNCATE: Final = "conversation.item.truncate"
DELETE: Final = "conversation.item.delete"
CREATE_RESPONSE: Final = "response.create"
CANCEL_RESPONSE: Final = "response.cancel"

ABOUT_ITEMS: Final = frozenset({RETRIEVE, TRUNCATE, DELETE})
"""The types of events about an item that the router can answer in place of the upstream."""

MAX_WAITING: Final = 1000
"""The most events other than audio that may wait for an upstream."""

MAX_WAITING_CHARS: Final = 4 * 1024 * 1024
"""The most characters of all events that may wait: 65 s of audio."""


MAX_EVENTS: Final = 10_000
"""The most events that may wait, together with those of audio."""

MAX_UNANSWERED: Final = 2000
"""The most events that an upstream may leave unacknowledged: as many as a conversation has items."""

MAX_UNANSWERED_BYTES: Final = 32 * 1024 * 1024
"""The size of unacknowledged events behind which no further one is sent: two of the longest, and more."""


class Sent:
    """An event that the upstream was sent and has not acknowledged."""

    __slots__ = ("behind", "event", "event_id", "has_own_id", "request", "sent_s")

    def __init__(self, event: Event, event_id: str, *, has_own_id: bool, request: Request | None = None) -> None:
        self.event = event
        self.event_id = event_id
        self.has_own_id = has_own_id
        """Whether the router gave the event its id, because the client gave none. Errors name the event by this id."""
        self.request = request
        self.sent_s = 0.0
        self.behind: str | None = None
        """The id of the item that was the last of the conversation when the event was sent."""

    @property
    def kind(self) -> str:
        """The type of the event."""
        return self.event.kind


class Unanswered:
    """The events that the upstream has not acknowledged, in order."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []
        self.held_bytes = 0
        """The size of all events."""

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent)

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def is_full(self) -> bool:
        """Whether the upstream has left too many events unacknowledged to get another one."""
        return len(self._sent) >= MAX_UNANSWERED or self.held_bytes >= MAX_UNANSWERED_BYTES

    def add(self, sent: Sent) -> None:
        """Add an event at the end."""
        self._sent.append(sent)
        self.held_bytes += len(sent.event.text)

    def remove(self, sent: Sent) -> None:
        """Remove an event."""
        self._sent.remove(sent)
        self.held_bytes -= len(sent.event.text)

    def take_all(self) -> list[Sent]:
        """Remove and return all events."""
        taken, self._sent = self._sent, []
        self.held_bytes = 0
        return taken

    def take(self, kind: str) -> Sent | None:
        """Remove and return the oldest event of a type, or return None."""
        return self._take(next((it for it in self._sent if it.kind == kind), None))

    def begin_next(self, kind: str, now_s: float) -> None:
        """Let the wait for the acknowledgement of the oldest event of a type begin now.

        Some upstreams handle the events of a type one after the other. So each answer begins the next wait.
        """
        sent = next((it for it in self._sent if it.kind == kind), None)
        if sent is not None:
            sent.sent_s = now_s

    def take_id(self, event_id: str) -> Sent | None:
        """Remove and return the event with this `event_id`, or return None."""
        return self._take(next((it for it in self._sent if it.event_id == event_id), None))

    def take_item(self, kind: str, item_id: object) -> Sent | None:
        """Remove and return the oldest event of a type about an item, or return None."""
        about = (it for it in self._sent if it.kind == kind)
        return self._take(next((it for it in about if item_of(it.event) == item_id), None))

    def take_request(self, response: Fields) -> Request | None:
        """Remove the oldest event whose request this response may answer, and return that request.

        Return None if no request fits. Without metadata, a response of the upstream's own counts as the answer to a
        request.
        """
        asked = [it for it in self._sent if it.request is not None]
        sent = next((it for it in asked if it.request is not None and _answers(response, it.request)), None)
        self._take(sent)
        return sent.request if sent is not None else None

    @property
    def last_item(self) -> object:
        """The item id of the newest `conversation.item.create`, or None without such an event."""
        created = next((it for it in reversed(self._sent) if it.kind == CREATE_ITEM), None)
        return item_of(created.event) if created is not None else None

    @property
    def has_request(self) -> bool:
        """Whether any unacknowledged event requests a response."""
        return any(it.request is not None for it in self._sent)

    @property
    def has_request_of_the_conversation(self) -> bool:
        """Whether any unacknowledged event requests a response inside the conversation."""
        return any(it.request is not None and not it.request.is_outside for it in self._sent)

    def _take(self, sent: Sent | None) -> Sent | None:
        if sent is not None:
            self.remove(sent)
        return sent


def item_of(event: Event) -> object:
    """Return the id of the item that an event creates or is about, or None."""
    return event.child("item").get("id") if event.kind == CREATE_ITEM else event.fields.get("item_id")


def _answers(response: Fields, request: Request) -> bool:
    # A response of the service's own has no metadata, and one outside the conversation has no conversation id (upstream
    # 5.3).
    metadata = response.get("metadata") or None
    if request.metadata is not None or metadata is not None:
        return request.metadata == metadata
    is_outside = "conversation_id" in response and response["conversation_id"] is None
    return is_outside or not request.is_outside


class Waiting:
    """The client's events that wait for an upstream, in order. Audio beyond the bound displaces the oldest audio."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._chars = 0
        self._count = 0
        self.dropped_chars = 0

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    @property
    def held_bytes(self) -> int:
        """The size of the events."""
        return self._chars

    def add(self, event: Event) -> bool:
        """Add an event, and return whether there was room for it. Audio always has room."""
        is_audio = event.kind == APPEND
        size = len(event.text)
        if not is_audio and (self._count >= MAX_WAITING or self._chars + size > MAX_WAITING_CHARS):
            return False
        self._events.append(event)
        self._chars += size
        self._count += not is_audio
        while (self._chars > MAX_WAITING_CHARS or len(self._events) > MAX_EVENTS) and self._drop_audio():
            pass
        return True

    def take_all(self) -> list[Event]:
        """Remove and return all events."""
        taken, self._events = list(self._events), deque()
        self._chars = self._count = 0
        return taken

    def _drop_audio(self) -> bool:
        oldest = next((event for event in self._events if event.kind == APPEND), None)
        if oldest is None:
            return False
        self._events.remove(oldest)
        self._chars -= len(oldest.text)
        self.dropped_chars += len(oldest.text)
        return True
