"""One upstream of the session: the items that it was sent and has not acknowledged, and its session's properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from router.session.state.queues import NO_ENTRIES, Newest, newest, without
from router.translation.formats import Formats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.deepgram import messages as deepgram
    from router.openai import events as openai
    from router.session import inputs

    UpdateMessage: TypeAlias = (
        deepgram.UpdatePrompt | deepgram.UpdateThink | deepgram.UpdateSpeak | deepgram.UpdateListen
    )

_SPOKEN: Final = frozenset({"input_audio", "output_audio", "audio"})
"""The types of content of the user's speech, and of a spoken answer."""

MAX_ITEMS: Final = 1000
"""The most items of one upstream that are remembered by id. A conversation may last for days."""

MAX_STANDBY_UPDATES: Final = 8
"""The most updates of an upstream's time on standby that are remembered by id."""


class Items:
    """The newest items that the session knows at one upstream, and those that the upstream has not acknowledged."""

    __slots__ = ("_ours", "_unacknowledged", "_waiting", "adds_unnamed")

    def __init__(self) -> None:
        self._unacknowledged: dict[str, tuple[str, str | None, str]] = {}
        """The type, the role and the `event_id` of each item on its way, the oldest first."""
        self._waiting: dict[tuple[str, str | None], int] = {}
        """The number of items on their way, by type and role. It follows from `_unacknowledged`."""
        self._ours: Newest[str] = Newest(maxlen=MAX_ITEMS)
        self.adds_unnamed = False
        """The upstream sends conversation.item.added without an id.

        A conversation.item.done without an id then only repeats conversation.item.added.
        """

    @property
    def memory(self) -> tuple[dict[str, tuple[str, str | None, str]], Newest[str]]:
        """The items on their way, and the ids of the newest items that the session knows."""
        return self._unacknowledged, self._ours

    def register(self, item_id: str, kind: str, role: str | None, event_id: str | None = None) -> None:
        """Record an item that is on its way upstream. Without an `event_id` its event has the item's id."""
        self._ours.add(item_id)
        self._forget(item_id)
        # A client may have sent any value as the role.
        self._add(item_id, kind, None if role is None else str(role), event_id or item_id)
        if len(self._unacknowledged) > MAX_ITEMS:
            # This upstream acknowledges nothing. A request that waits for the item has a deadline.
            self._forget(next(iter(self._unacknowledged)))

    def _add(self, item_id: str, kind: str, role: str | None, event_id: str) -> None:
        self._unacknowledged[item_id] = kind, role, event_id
        self._waiting[kind, role] = self._waiting.get((kind, role), 0) + 1

    def _forget(self, item_id: str) -> bool:
        """Forget an item on its way. Return whether it was on its way."""
        forgotten = self._unacknowledged.pop(item_id, None)
        if forgotten is None:
            return False
        like = forgotten[:2]
        self._waiting[like] -= 1
        if not self._waiting[like]:
            del self._waiting[like]
        return True

    def refill(self, waiting: dict[str, tuple[str, str | None, str]]) -> None:
        """Record the items on their way that a snapshot has."""
        for item_id, (kind, role, event_id) in waiting.items():
            self._add(item_id, kind, role, event_id)

    def note_speech(self, item_id: str) -> None:
        """Record the item of the user's speech.

        The item acknowledges no typed message, although some servers show no audio in it.
        """
        self._ours.add(item_id)

    def acknowledge(self, item: openai.Item, *, is_done: bool = False) -> str | None:
        """Record that the conversation holds an item. Return the id under which the session created the item, or None.

        Some upstreams choose another id, or leave the id out. Then the item acknowledges the oldest item of the same
        type and role that waits. If the upstream leaves the type or role out, too, any type or role fits. `is_done` is
        true for conversation.item.done.
        """
        item_id = item.id or ""
        if item_id in self._ours and item_id not in self._unacknowledged:
            # The second acknowledgement: conversation.item.done follows conversation.item.added (upstream 3.1).
            return None
        if not item_id and is_done and self.adds_unnamed:
            return None
        key = item_id if item_id in self._unacknowledged else self._oldest_like(item)
        if key is None:
            return None
        if item_id:
            self._ours.add(item_id)
        else:
            self.adds_unnamed |= not is_done
        self._forget(key)
        return key

    def is_awaited(self, item_id: str | None) -> bool:
        """Whether an item is on its way, and not acknowledged."""
        return item_id in self._unacknowledged

    def is_message(self, item_id: str) -> bool:
        """Whether an item on its way is a message."""
        return item_id in self._unacknowledged and self._unacknowledged[item_id][0] == "message"

    def _oldest_like(self, item: openai.Item) -> str | None:
        # The upstream's own items are no acknowledgements (upstream 3.5): speech from its audio buffer, and an answer
        # that it generates. The session creates no assistant message with audio.
        if any(part.type in _SPOKEN for part in item.content or []):
            return None
        if item.role == "assistant" and (item.status == "in_progress" or not item.content):
            return None
        # An upstream may send any number of items of its own, so each of them must not be compared with all that wait.
        if not any(item.type in (kind, None) and item.role in (role, None) for kind, role in self._waiting):
            return None
        for key, (kind, role, _) in self._unacknowledged.items():
            if item.type in (kind, None) and item.role in (role, None):
                return key
        return None

    def __len__(self) -> int:
        return len(self._unacknowledged)

    @property
    def oldest(self) -> str | None:
        """The id of the oldest item that is not acknowledged, or None."""
        return next(iter(self._unacknowledged), None)

    def reject(self, event_id: str) -> str | None:
        """Forget the item of an event that the upstream refused. Return its id, or None if it was not on its way."""
        item_id = next((it for it, (_, _, named) in self._unacknowledged.items() if named == event_id), None)
        if item_id is not None:
            self._forget(item_id)
        return item_id

    def is_ours(self, item_id: str | None) -> bool:
        """Whether the session or the client created the item, or it is the user's speech.

        The client needs no text of it.
        """
        return item_id in self._ours


class Update(msgspec.Struct, frozen=True):
    """A change of a running session, as the client requested it."""

    message: UpdateMessage | inputs.PassthroughSessionUpdate
    event_id: str
    """The `event_id` of its session.update. An error that refuses the update carries this id (upstream 8.1)."""
    size_bytes: int
    has_speed: bool = False
    """The update changes the speed of the voice."""
    is_late: bool = False
    """An upstream did not acknowledge the update in time."""


class UpstreamLink:
    """One upstream of the session, by its generation."""

    __slots__ = (
        "created_s",
        "expires_at",
        "formats",
        "generation",
        "has_confirmed_formats",
        "has_warned",
        "is_created",
        "is_rollover_due",
        "is_unannounced",
        "is_updating",
        "items",
        "last_item_id",
        "opened_at",
        "pending_updates",
        "position",
        "rate_limits",
        "rates_warned",
        "refused",
        "repeated",
        "seeded_to",
        "standby_updates",
    )

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.items = Items()
        self.is_updating = False
        """The first of `State.updates` was sent, and is not acknowledged."""
        self.position = 0
        """The upstream's position in the configured list."""
        self.opened_at = 0.0
        """The time of the upstream's handshake, in Unix seconds."""
        self.expires_at: float | None = None
        """The time at which the upstream's session expires, in Unix seconds, as session.created announced it."""
        self.formats = Formats()
        """The upstream's audio formats: first the requested ones, then those that session.updated names."""
        self.has_confirmed_formats = False
        """session.updated named both formats."""
        self.created_s = 0.0
        """The arrival of session.created, on the dispatcher's clock."""
        self.rate_limits: Mapping[str, openai.RateLimit] = NO_ENTRIES
        """The newest limits of the operator's account, by name."""
        self.rates_warned: Mapping[str, float] = NO_ENTRIES
        """By the name of a limit, the time until which the log does not warn of it again, on the dispatcher's clock."""
        self.is_created = False
        """session.created has arrived."""
        self.is_unannounced = False
        """session.created has not arrived in time: the upstream is configured without it."""
        self.seeded_to = 0
        """The sequence number of the newest ledger entry that the upstream got with its configuration."""
        self.last_item_id: str | None = None
        """The id of the last item of the ledger that the upstream got."""
        self.pending_updates = 0
        """The number of unacknowledged session.updates: its configuration, and changes that it received on standby."""
        self.standby_updates: tuple[str, ...] = ()
        """The ids of the updates that the upstream received on standby."""
        self.refused: tuple[str, ...] = ()
        """Items that the upstream refused while it was on standby. It gets them again when it takes over."""
        self.repeated: tuple[str, ...] = ()
        """The refused items that the upstream got again."""
        self.is_rollover_due = False
        """The upstream's rollover was due before the session was ready."""
        self.has_warned = False
        """The client was warned that this upstream's session ends, because the standby upstream failed."""

    def note_update(self, event_id: str) -> None:
        """Record an update that the upstream receives on standby."""
        self.pending_updates += 1
        self.standby_updates = newest(self.standby_updates, event_id, MAX_STANDBY_UPDATES)

    def refuse_update(self, event_id: str | None) -> bool:
        """Await no acknowledgement of an update that the upstream received on standby, and refused after the takeover.

        Otherwise the next session.updated would count as that acknowledgement. Return whether `event_id` names such an
        update.
        """
        if event_id not in self.standby_updates:
            return False
        self.standby_updates = without(self.standby_updates, event_id)
        self.pending_updates = max(0, self.pending_updates - 1)
        return True
