"""The agent's audio on its way to the caller: an estimate of what the caller has heard, and the audio ahead of it.

Neither vendor's protocol reports playback (upstream 5.9), so it is estimated: a client plays audio at once and without
a gap. A telephone reports its playback, and so corrects the estimate. An upstream generates audio faster than a client
plays it (upstream 5.8), and neither protocol can slow the upstream down. Audio more than `max_ahead_s` ahead of the
caller waits here, in order with the messages that follow it. Their size and number have bounds. The bound on
the size is small until the client is seen to read, because a client that does not read never plays any of the audio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from router.audio.formats import MAX_SAMPLE_BYTES
from router.session.state.queues import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.deepgram.messages import ServerMessage

MAX_ITEMS: Final = 16
"""The most items that are remembered. The caller heard older ones long ago, or they were very short."""


MAX_MESSAGES: Final = 512
"""The most messages that wait behind audio. Beyond it, the audio before them is sent early."""

MAX_PIECES: Final = 20_000
"""The most pieces of audio that wait, each a message of the upstream. Beyond it, the oldest one is sent early."""


class Piece(NamedTuple):
    """A piece of the agent's audio, in the client's format."""

    item_id: str | None
    data: bytes
    duration_s: float


class QueuedMessage(NamedTuple):
    """A message that waits behind audio."""

    message: ServerMessage
    size_bytes: int


class PlayedItem:
    """The audio of one item: the part that the upstream generated, and the part that was sent to the client."""

    __slots__ = ("is_truncated", "is_upstream", "item_id", "received_s", "sent_s", "text")

    def __init__(self, item_id: str | None) -> None:
        self.item_id = item_id
        self.received_s = 0.0
        self.sent_s = 0.0
        self.text: str | None = None
        """The words of the item, once all of them are known."""
        self.is_upstream = True
        """The upstream in use generated the item, and knows it by this id."""
        self.is_truncated = False
        """The item was truncated upstream. A second truncation is an error (upstream 7.3)."""


class Unheard(NamedTuple):
    """An item whose end the caller has not heard, and the seconds of it that the caller has heard."""

    played: PlayedItem
    heard_s: float


class Playback:
    """The estimated playback of one client. Times are of the dispatcher's clock."""

    __slots__ = (
        "_ends_s",
        "_items",
        "_max_ahead_s",
        "_max_queued_bytes",
        "_max_unread_bytes",
        "_waiting",
        "_waiting_bytes",
        "_waiting_messages",
        "dropped_bytes",
        "is_trusted",
        "sent_s",
    )

    def __init__(self, max_ahead_s: float, max_queued_bytes: int, max_unread_bytes: int) -> None:
        self._max_ahead_s = max_ahead_s
        self._max_queued_bytes = max_queued_bytes
        self._max_unread_bytes = max_unread_bytes
        self._ends_s = 0.0
        """The time at which the caller will have heard all audio that was sent."""
        self._items: Queue[PlayedItem] = Queue(maxlen=MAX_ITEMS)
        self._waiting: Queue[Piece | QueuedMessage] = Queue()
        self._waiting_bytes = 0
        """The size of the waiting audio and messages."""
        self._waiting_messages = 0
        self.is_trusted = False
        """The client was seen to read since audio began to wait."""
        self.sent_s = 0.0
        """The duration of the audio that was sent since the last report of this number."""
        self.dropped_bytes = 0
        """The size of the audio that was dropped while it waited, because the user interrupted."""

    # Questions.

    def ahead_s(self, now_s: float) -> float:
        """Return the duration of sent audio that the caller has not heard yet."""
        return max(0.0, self._ends_s - now_s)

    @property
    def ends_s(self) -> float:
        """The time at which the caller will have heard all audio that was sent."""
        return self._ends_s

    @property
    def is_waiting(self) -> bool:
        """Whether audio waits. A message that is sent now has to wait behind it."""
        return bool(self._waiting)

    @property
    def has_begun_to_wait(self) -> bool:
        """Whether exactly one piece or message waits."""
        return len(self._waiting) == 1

    def is_audible(self, now_s: float) -> bool:
        """Whether the caller hears the agent, or will hear the agent."""
        return self.is_waiting or self._ends_s > now_s

    def due_in_s(self, now_s: float) -> float:
        """Return the seconds until waiting audio may be sent.

        The client first plays a tenth of `max_ahead_s`, so that one timer releases many pieces.
        """
        return max(0.0, self.ahead_s(now_s) - self._max_ahead_s * 0.9)

    def unheard(self, now_s: float) -> list[Unheard]:
        """Return the items whose end the caller has not heard, the oldest first."""
        left_s = self.ahead_s(now_s)
        found = []
        # Audio is played in the order of the items, so the unheard part is the end of the newest ones.
        for played in reversed(self._items):
            heard_s = max(0.0, played.sent_s - left_s)
            left_s = max(0.0, left_s - played.sent_s)
            if heard_s < played.received_s:
                found.append(Unheard(played, heard_s))
        return found[::-1]

    # Changes.

    def correct(self, left_s: float, now_s: float) -> None:
        """Correct the estimate: the caller has not heard the last `left_s` of the sent audio.

        A telephone reports this duration. The estimate continues from this report until the next one.
        """
        self._ends_s = now_s + left_s

    def schedule(self, piece: Piece, now_s: float) -> bool:
        """Record a piece of audio. Return whether to send it now; otherwise the piece is kept until it is due."""
        self._item(piece.item_id).received_s += piece.duration_s
        if self._waiting or self.ahead_s(now_s) > self._max_ahead_s:
            self._waiting.append(piece)
            self._waiting_bytes += len(piece.data)
            return False
        self._record_sent(piece, now_s)
        return True

    def record_sent(self, item_id: str | None, size_bytes: int, bytes_per_s: int, now_s: float) -> float:
        """Record that another process sent `size_bytes` of audio.

        These bytes count first as the audio that waits here. The rest counts as new audio of `item_id`. Return the
        duration of that rest.
        """
        left_bytes = size_bytes
        while left_bytes > 0 and self._waiting and isinstance(first := self._waiting[0], Piece):
            self._waiting.popleft()
            sent = first.data[: left_bytes - left_bytes % MAX_SAMPLE_BYTES] or first.data[:MAX_SAMPLE_BYTES]
            share_s = first.duration_s * len(sent) / len(first.data)
            if len(sent) < len(first.data):
                rest = first.data[len(sent) :]
                self._waiting.appendleft(first._replace(data=rest, duration_s=first.duration_s - share_s))
            self._waiting_bytes -= len(sent)
            left_bytes -= len(sent)
            self._record_sent(first._replace(data=sent, duration_s=share_s), now_s)
        new_s = max(0, left_bytes) / bytes_per_s
        if new_s:
            self._item(item_id).received_s += new_s
            self._record_sent(Piece(item_id, b"", new_s), now_s)
        return new_s

    def hold(self, message: ServerMessage, size_bytes: int) -> None:
        """Queue a message behind the waiting audio."""
        self._waiting.append(QueuedMessage(message, size_bytes))
        self._waiting_bytes += size_bytes
        self._waiting_messages += 1

    @property
    def held_bytes(self) -> int:
        """The size of the audio and messages that wait."""
        return self._waiting_bytes

    def release(self, now_s: float) -> list[bytes | ServerMessage]:
        """Remove and return the audio and messages that are due, in order."""
        return self._release(lambda: self.ahead_s(now_s) <= self._max_ahead_s, now_s)

    def release_excess(self, now_s: float) -> list[bytes | ServerMessage]:
        """Remove and return the oldest audio and messages that exceed a bound on memory.

        The audio is then sent early, and counts towards the bound of the connection's outbox.
        """
        max_bytes = self._max_queued_bytes if self.is_trusted else self._max_unread_bytes
        return self._release(
            lambda: (
                self._waiting_bytes > max_bytes
                or self._waiting_messages > MAX_MESSAGES
                or len(self._waiting) > MAX_PIECES
            ),
            now_s,
        )

    def _release(self, is_due: Callable[[], bool], now_s: float) -> list[bytes | ServerMessage]:
        due: list[bytes | ServerMessage] = []
        # A message needs no room of its own: it follows the audio before it at once.
        while self._waiting and (not isinstance(self._waiting[0], Piece) or is_due()):
            first = self._waiting.popleft()
            if isinstance(first, Piece):
                self._waiting_bytes -= len(first.data)
                self._record_sent(first, now_s)
                due.append(first.data)
            else:
                self._waiting_bytes -= first.size_bytes
                self._waiting_messages -= 1
                due.append(first.message)
        # Trust lasts as long as audio waits: the next wait begins with a new probe.
        self.is_trusted = self.is_trusted and self.is_waiting
        return due

    def drop_items(self, is_dropped: Callable[[str | None], bool], is_kept: Callable[[ServerMessage], bool]) -> None:
        """Drop the waiting audio of some items, and the messages behind its beginning that are not to be kept."""
        left: Queue[Piece | QueuedMessage] = Queue()
        has_begun = False
        for each in self._waiting:
            is_audio = isinstance(each, Piece)
            has_begun = is_dropped(each.item_id) if isinstance(each, Piece) else has_begun
            if not has_begun or (isinstance(each, QueuedMessage) and is_kept(each.message)):
                left.append(each)
                continue
            size_bytes = len(each.data) if isinstance(each, Piece) else each.size_bytes
            self._waiting_bytes -= size_bytes
            self._waiting_messages -= not is_audio
            self.dropped_bytes += size_bytes if is_audio else 0
        self._waiting = left

    def set_text(self, item_id: str | None, text: str) -> None:
        """Record the words of an item."""
        self._item(item_id).text = text

    def mark_truncated(self, item_id: str | None) -> None:
        """Record that an item was truncated upstream."""
        self._item(item_id).is_truncated = True

    def forget_upstream_ids(self, retired: Callable[[str | None], str | None]) -> None:
        """Replace the id of each item by `retired(id)`: the next upstream may give the same ids to other items."""
        for played in self._items:
            played.is_upstream, played.item_id = False, retired(played.item_id)
        for at, waiting in enumerate(self._waiting):
            if isinstance(waiting, Piece):
                self._waiting[at] = waiting._replace(item_id=retired(waiting.item_id))

    def disown(self, item_id: str) -> None:
        """Count the audio of an item as that of no item, because the item was taken for another one."""
        for played in self._items:
            if played.item_id == item_id:
                played.item_id, played.text = None, None
        for at, waiting in enumerate(self._waiting):
            if isinstance(waiting, Piece) and waiting.item_id == item_id:
                self._waiting[at] = waiting._replace(item_id=None)

    def stop(self, now_s: float) -> list[ServerMessage]:
        """Drop the audio, because the client empties its buffer. Return the messages that waited behind it."""
        messages = [it.message for it in self._waiting if isinstance(it, QueuedMessage)]
        self.dropped_bytes += sum(len(it.data) for it in self._waiting if isinstance(it, Piece))
        self._waiting.clear()
        self._waiting_bytes = self._waiting_messages = 0
        self._ends_s = min(self._ends_s, now_s)
        self._items.clear()
        return messages

    def _item(self, item_id: str | None) -> PlayedItem:
        items = self._items
        if items and items[-1].item_id == item_id:  # nearly always
            return items[-1]
        found = next((it for it in reversed(items) if it.item_id == item_id), None)
        if found is None:
            found = PlayedItem(item_id)
            self._items.append(found)
        return found

    def _record_sent(self, piece: Piece, now_s: float) -> None:
        self._item(piece.item_id).sent_s += piece.duration_s
        self.sent_s += piece.duration_s
        # After a pause of the upstream the client plays from now on, not from the end of the last piece.
        self._ends_s = max(self._ends_s, now_s) + piece.duration_s
