"""The agent's audio on its way to a caller's ear: what was sent, and how much of it can have been heard.

Nobody tells when audio is played, so it is estimated: a client plays what it is sent at once and without a gap. An
upstream makes audio faster than it is played, and nothing in either protocol slows it down; what is more than
`most_ahead_s` ahead of the caller's ear waits here, in order with the messages that belong behind it. What waits is
bounded in memory: by little until the client is seen to read, for one that does not will never play any of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from router.session.state.queues import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.deepgram.messages import ServerMessage

MOST_PLAYED: Final = 16
"""Items that are remembered, the newest: an older one has been heard long ago, or was very short."""


class Piece(NamedTuple):
    """A piece of the agent's audio, in the client's format."""

    item_id: str | None
    data: bytes
    duration_s: float


class Played:
    """An item's audio: how much the upstream made of it, and how much of that was sent to the client."""

    __slots__ = ("is_truncated", "is_upstream", "item_id", "received_s", "sent_s", "text")

    def __init__(self, item_id: str | None) -> None:
        self.item_id = item_id
        self.received_s = 0.0
        self.sent_s = 0.0
        self.text: str | None = None
        """What it says, once all of that is known."""
        self.is_upstream = True
        """The upstream in use made it, and knows it by this id."""
        self.is_truncated = False
        """There, which is possible once."""


class Unheard(NamedTuple):
    """An item of which the caller has not heard the end."""

    played: Played
    heard_s: float


class Playback:
    """The playback of one client, estimated. Times are of the dispatcher's clock."""

    def __init__(self, most_ahead_s: float, held_bytes: int, unread_bytes: int) -> None:
        self._most_ahead_s = most_ahead_s
        self._held_bytes = held_bytes
        self._unread_bytes = unread_bytes
        self._ends_s = 0.0
        """When the caller will have heard what was sent."""
        self._items: Queue[Played] = Queue(most=MOST_PLAYED)
        self._waiting: Queue[Piece | ServerMessage] = Queue()
        self._waiting_bytes = 0
        self.is_trusted = False
        """The client was seen to read since something began to wait."""
        self.dropped_bytes = 0
        """Of audio that waited when the user interrupted it."""

    # What is known.

    def ahead_s(self, now_s: float) -> float:
        """How much of what was sent is still to be heard."""
        return max(0.0, self._ends_s - now_s)

    @property
    def is_waiting(self) -> bool:
        """Whether anything waits: what is said now belongs behind it."""
        return bool(self._waiting)

    def is_audible(self, now_s: float) -> bool:
        """Whether the agent is being heard, or has more to be heard."""
        return self.is_waiting or self._ends_s > now_s

    def due_in_s(self, now_s: float) -> float:
        """When the next of what waits may go: a little is let through at a time, not every piece on its own."""
        return max(0.0, self.ahead_s(now_s) - self._most_ahead_s * 0.9)

    def unheard(self, now_s: float) -> list[Unheard]:
        """The items of which the caller has not heard the end, the oldest first."""
        left_s = self.ahead_s(now_s)
        found = []
        for played in reversed(self._items):
            heard_s = max(0.0, played.sent_s - left_s)
            left_s = max(0.0, left_s - played.sent_s)
            if heard_s < played.received_s:
                found.append(Unheard(played, heard_s))
        return found[::-1]

    # What happens.

    def receive(self, piece: Piece, now_s: float) -> bool:
        """Take a piece of audio; whether it is to be sent now. Otherwise it waits."""
        self._item(piece.item_id).received_s += piece.duration_s
        if self._waiting or self.ahead_s(now_s) > self._most_ahead_s:
            self.wait(piece)
            return False
        self._sent(piece, now_s)
        return True

    def wait(self, piece: Piece | ServerMessage) -> None:
        """Put something behind what waits."""
        self._waiting.append(piece)
        if isinstance(piece, Piece):
            self._waiting_bytes += len(piece.data)

    def release_audio(self, now_s: float) -> list[bytes | ServerMessage]:
        """What may go now, in order."""
        return self._take(lambda: self.ahead_s(now_s) <= self._most_ahead_s, now_s)

    def overflowing(self, now_s: float) -> list[bytes | ServerMessage]:
        """What goes early, as more waits than may be held in memory: the connection has a bound of its own."""
        most_bytes = self._held_bytes if self.is_trusted else self._unread_bytes
        return self._take(lambda: self._waiting_bytes > most_bytes, now_s)

    def _take(self, is_due: Callable[[], bool], now_s: float) -> list[bytes | ServerMessage]:
        due: list[bytes | ServerMessage] = []
        while self._waiting and (not isinstance(self._waiting[0], Piece) or is_due()):
            first = self._waiting.popleft()
            if isinstance(first, Piece):
                self._waiting_bytes -= len(first.data)
                self._sent(first, now_s)
                due.append(first.data)
            else:
                due.append(first)
        self.is_trusted = self.is_trusted and self.is_waiting
        return due

    def set_text(self, item_id: str | None, text: str) -> None:
        """Remember what an item says."""
        self._item(item_id).text = text

    def truncated(self, item_id: str | None) -> None:
        """Remember that an item was truncated upstream."""
        self._item(item_id).is_truncated = True

    def upstream_is_gone(self) -> None:
        """Another upstream is in use, which knows what was said before by other ids, and as text."""
        for played in self._items:
            played.is_upstream = False

    def stop(self, now_s: float) -> list[ServerMessage]:
        """The client plays no more: nothing of what was sent will be heard. The messages that waited."""
        messages = [first for first in self._waiting if not isinstance(first, Piece)]
        self.dropped_bytes += self._waiting_bytes
        self._waiting.clear()
        self._waiting_bytes = 0
        self._ends_s = min(self._ends_s, now_s)
        self._items.clear()
        return messages

    def _item(self, item_id: str | None) -> Played:
        found = next((it for it in reversed(self._items) if it.item_id == item_id), None)
        if found is None:
            found = Played(item_id)
            self._items.append(found)
        return found

    def _sent(self, piece: Piece, now_s: float) -> None:
        self._item(piece.item_id).sent_s += piece.duration_s
        self._ends_s = max(self._ends_s, now_s) + piece.duration_s
