"""An upstream of the session: what it was sent and has not acknowledged, and what it has said of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.session.state.queues import Newest
from router.translation.formats import Formats

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.openai import events as openai
    from router.session.state.turn import ResponseRequest

MOST_ITEMS: Final = 1000
"""Of one upstream that are known by their ids, the newest: a conversation may go on for days."""


class Items:
    """The items that we created upstream: which of them are unacknowledged, and whose text has been told."""

    def __init__(self) -> None:
        self._unacknowledged: dict[str, _Created] = {}
        self._ours: Newest[str] = Newest(most=MOST_ITEMS)
        self._told: Newest[str] = Newest(most=MOST_ITEMS)

    def created(self, item_id: str, kind: str, role: str | None, request: ResponseRequest | None) -> None:
        """Remember an item that is on its way upstream, and the response that is wanted once it is there."""
        self._ours.add(item_id)
        self._unacknowledged[item_id] = _Created(kind, role, request)
        if len(self._unacknowledged) > MOST_ITEMS:  # of an upstream that acknowledges nothing
            idle = (key for key, created in self._unacknowledged.items() if not created.requests)
            self._unacknowledged.pop(next(idle, ""), None)

    def queue_behind(self, request: ResponseRequest) -> bool:
        """Have a response wait behind that to the newest unacknowledged item; False where it need not."""
        waiting = [created for created in self._unacknowledged.values() if created.requests]
        if waiting:
            waiting[-1].requests.append(request)
        return bool(waiting)

    def acknowledge(self, item: openai.Item) -> list[ResponseRequest]:
        """Take the news that `item` is in the conversation; the responses that it wants, and that waited behind it.

        An upstream that gives it another id still counts, where type and role fit the oldest unacknowledged one.
        """
        item_id = item.id or ""
        if item_id in self._ours and item_id not in self._unacknowledged:
            return []
        key = item_id if item_id in self._unacknowledged else self._oldest_like(item)
        if key is None:
            return []
        self._ours.add(item_id)
        return self._unacknowledged.pop(key).requests

    def _oldest_like(self, item: openai.Item) -> str | None:
        if any(part.type == "input_audio" for part in item.content or []):
            return None  # spoken: the upstream made it from its own buffer
        if item.role == "assistant" and (item.status == "in_progress" or not item.content):
            return None  # generated: the upstream is about to say it
        like = (item.type or "message", item.role)
        return next((key for key, created in self._unacknowledged.items() if created.like == like), None)

    def refused(self, item_id: str) -> list[ResponseRequest]:
        """Forget an item that the upstream did not take; what was to be said behind the response that it wanted."""
        created = self._unacknowledged.pop(item_id, None)
        return [request for request in created.requests if request.verbatim is not None] if created is not None else []

    def give_up_waiting(self) -> list[ResponseRequest]:
        """Stop waiting for acknowledgements; the responses that are wanted."""
        requests = self.waiting
        for created in self._unacknowledged.values():
            created.requests = []
        return requests

    def change_waiting(self, change: Callable[[list[ResponseRequest]], list[ResponseRequest]]) -> None:
        """Want other responses once items are acknowledged."""
        for created in self._unacknowledged.values():
            created.requests = change(created.requests)

    @property
    def waiting(self) -> list[ResponseRequest]:
        """The responses that are wanted once items are acknowledged."""
        return [request for created in self._unacknowledged.values() for request in created.requests]

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether an item that wants a response is unacknowledged."""
        return bool(self.waiting)

    @property
    def awaits_resumed(self) -> bool:
        """Whether one of them is asked for again, which comes before whatever was wanted later."""
        return any(request.is_resumed for request in self.waiting)

    def is_ours(self, item_id: str | None) -> bool:
        """Whether we created it: its text is no news to the client."""
        return item_id in self._ours

    def claim_text(self, item_id: str | None) -> bool:
        """Whether this item's text is still to be told; from now on it is not."""
        if item_id is None:
            return True
        if item_id in self._told or item_id in self._ours:
            return False
        self._told.add(item_id)
        return True

    def suppress_text(self, item_id: str) -> None:
        """Nothing more of this item is to be told: it was cut off."""
        self._told.add(item_id)


class _Created:
    __slots__ = ("like", "requests")

    def __init__(self, kind: str, role: str | None, request: ResponseRequest | None) -> None:
        self.like = (kind, role)
        self.requests = [] if request is None else [request]
        """The response that it wants, and what waits behind that."""


class UpstreamLink:
    """One upstream of the session, by its generation."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.items = Items()
        self.is_updating = False
        """The first of the updates that are wanted is on its way."""
        self.position = 0
        """In the configured list."""
        self.opened_at = 0.0
        """Unix seconds."""
        self.expires_at: float | None = None
        self.formats = Formats()
        """What it hears and speaks in: as it was asked for, and then as it says."""
        self.has_said_formats = False
        self.is_created = False
        """session.created is in."""
        self.updates = 0
        """session.updates that are not acknowledged."""
        self.is_overdue = False
        """Its time to be followed by the next came before it was in use."""
        self.is_warned = False
        """The client knows that it ends soon."""
