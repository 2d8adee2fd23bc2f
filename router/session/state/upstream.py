"""One upstream of the session: the items that it was sent and has not acknowledged, and its session's properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from router.session.state.queues import Newest
from router.translation.formats import Formats

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.deepgram import messages as deepgram
    from router.openai import events as openai
    from router.session import inputs
    from router.session.state.turn import ResponseRequest

    UpdateMessage: TypeAlias = (
        deepgram.UpdatePrompt | deepgram.UpdateThink | deepgram.UpdateSpeak | deepgram.UpdateListen
    )

MAX_ITEMS: Final = 1000
"""Items of one upstream that are remembered by id, the newest: a conversation may last for days."""


class Items:
    """The items of one upstream: those that wait for its acknowledgement, and those whose text was sent.

    A response to an item is created only when the upstream has the item. The request waits with the item until then.
    """

    def __init__(self) -> None:
        self._unacknowledged: dict[str, _Unacknowledged] = {}
        self._ours: Newest[str] = Newest(maxlen=MAX_ITEMS)
        self._claimed: Newest[str] = Newest(maxlen=MAX_ITEMS)
        """Items of the upstream's whose text was sent, or must not be."""

    def register(self, item_id: str, kind: str, role: str | None, request: ResponseRequest | None) -> None:
        """Record an item that is on its way upstream, and the response to create when it is acknowledged."""
        self._ours.add(item_id)
        self._unacknowledged[item_id] = _Unacknowledged(kind, role, request)
        if len(self._unacknowledged) > MAX_ITEMS:
            # This upstream acknowledges nothing. An item with a request must stay: its request would be lost.
            idle = (key for key, waiting in self._unacknowledged.items() if not waiting.requests)
            self._unacknowledged.pop(next(idle, ""), None)

    def queue_behind(self, request: ResponseRequest) -> bool:
        """Queue a request behind that of the newest unacknowledged item. Return False where none waits."""
        waiting = [item for item in self._unacknowledged.values() if item.requests]
        if waiting:
            waiting[-1].requests.append(request)
        return bool(waiting)

    def acknowledge(self, item: openai.Item) -> list[ResponseRequest]:
        """Record that the conversation holds an item. Return the requests that waited for it.

        Some upstreams choose another id. Such an item acknowledges the oldest one of the same type and role.
        """
        item_id = item.id or ""
        if item_id in self._ours and item_id not in self._unacknowledged:
            # The second acknowledgement: conversation.item.done follows conversation.item.added (upstream 3.1).
            return []
        key = item_id if item_id in self._unacknowledged else self._oldest_like(item)
        if key is None:
            return []
        self._ours.add(item_id)
        return self._unacknowledged.pop(key).requests

    def _oldest_like(self, item: openai.Item) -> str | None:
        # The upstream's own items are no acknowledgements (upstream 3.5): speech from its audio buffer, and an answer
        # that it is about to generate.
        if any(part.type == "input_audio" for part in item.content or []):
            return None
        if item.role == "assistant" and (item.status == "in_progress" or not item.content):
            return None
        like = (item.type or "message", item.role)
        return next((key for key, waiting in self._unacknowledged.items() if waiting.like == like), None)

    def reject(self, item_id: str) -> list[ResponseRequest]:
        """Forget an item that the upstream refused. Return the verbatim requests that waited for it.

        The request for an answer is dropped: without the item there is no question to answer.
        """
        item = self._unacknowledged.pop(item_id, None)
        return [request for request in item.requests if request.verbatim is not None] if item is not None else []

    def take_waiting(self) -> list[ResponseRequest]:
        """Stop waiting for acknowledgements. Remove and return the requests that waited for them."""
        requests = self.waiting
        for item in self._unacknowledged.values():
            item.requests = []
        return requests

    def replace_waiting(self, replace: Callable[[list[ResponseRequest]], list[ResponseRequest]]) -> None:
        """Replace the requests that wait for each item."""
        for item in self._unacknowledged.values():
            item.requests = replace(item.requests)

    @property
    def waiting(self) -> list[ResponseRequest]:
        """The requests that wait for an acknowledgement."""
        return [request for item in self._unacknowledged.values() for request in item.requests]

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether a request waits for an acknowledgement."""
        return bool(self.waiting)

    @property
    def awaits_resumed(self) -> bool:
        """Whether a resumed request waits, which comes before all later ones."""
        return any(request.is_resumed for request in self.waiting)

    def is_ours(self, item_id: str | None) -> bool:
        """Whether the session created the item. The client has its text already."""
        return item_id in self._ours

    def claim_text(self, item_id: str | None) -> bool:
        """Claim the right to send an item's text: return True at the first call for an item.

        Up to five events repeat the text of one item (upstream 5.7).
        """
        if item_id is None:
            return True
        if item_id in self._claimed or item_id in self._ours:
            return False
        self._claimed.add(item_id)
        return True

    def suppress_text(self, item_id: str) -> None:
        """Send no further text of an item, because it was cut off."""
        self._claimed.add(item_id)


class _Unacknowledged:
    __slots__ = ("like", "requests")

    def __init__(self, kind: str, role: str | None, request: ResponseRequest | None) -> None:
        self.like = (kind, role)
        self.requests = [] if request is None else [request]
        """The request for the item's answer, and the requests that wait behind it."""


class Update(msgspec.Struct, frozen=True):
    """A change of a running session, as the client requested it."""

    message: UpdateMessage | inputs.PassthroughSessionUpdate
    event_id: str
    """The `event_id` of its session.update. The error that refuses the update carries it (upstream 8.1)."""
    size_bytes: int
    is_late: bool = False
    """An upstream did not acknowledge it in time."""


class UpstreamLink:
    """One upstream of the session, by its generation."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.items = Items()
        self.is_updating = False
        """The first of `State.updates` was sent, and is not acknowledged."""
        self.position = 0
        """Its position in the configured list of upstreams."""
        self.opened_at = 0.0
        """Unix seconds."""
        self.expires_at: float | None = None
        """Unix seconds, as session.created announced them."""
        self.formats = Formats()
        """Its audio formats: first the requested ones, then those that session.updated names."""
        self.has_confirmed_formats = False
        """session.updated named both formats."""
        self.is_created = False
        """session.created has arrived."""
        self.pending_updates = 0
        """The number of unacknowledged session.updates: its configuration, and changes that it received on standby."""
        self.is_rollover_due = False
        """Its rollover was due before the session was ready."""
        self.has_warned = False
        """The client was warned of its end."""
