"""The account of an answer: the part of its text and audio that the client has.

A response has one account, with one part for each text of each of its items. Items may overlap, and an item may have
several texts. An id is valid within one response, because some servers send none, or begin their ids anew with each
response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.session.state.queues import newest

if TYPE_CHECKING:
    from router.openai import events as openai

MAX_PARTS: Final = 64
"""The most parts of an answer that are kept. An answer has few items at a time, and finished ones are in the ledger."""

MAX_CHARS: Final = 4 * 1024 * 1024
"""The characters of an answer behind which no further text is taken: as many as the longest event has."""


class ItemDelivery:
    """The account of one text of an item, and of its audio: the part that the client has."""

    __slots__ = (
        "_differs",
        "_repeated",
        "_resent_chars",
        "before",
        "content_index",
        "is_closed",
        "is_commentary",
        "is_complete",
        "is_spoken",
        "item_id",
        "local_id",
        "received_s",
        "resent",
        "searched_chars",
        "sent_chars",
        "sent_text",
        "transcript",
    )

    def __init__(
        self, item_id: str | None, content_index: int | None = None, *, resent: str = "", before: str = ""
    ) -> None:
        self.item_id = item_id
        self.local_id: str | None = None
        """The session's own id for an item without an id. It stays, although a later event may name the item."""
        self.content_index = content_index
        self.transcript = ""
        """The text so far. It runs ahead of the audio (upstream 5.8)."""
        self.sent_chars = 0
        """The number of transcript characters that were sent to the client as sentences."""
        self.searched_chars = 0
        """The number of transcript characters that were searched for the end of a sentence."""
        self.resent = resent
        """The text of the continued answer that the client has already. It is not sent again."""
        self.before = before
        """The delivered words of the continued answer, which come before those of this text."""
        self.received_s = 0.0
        """The duration of the audio that the upstream generated. The audio was sent, or waits."""
        self.sent_text = ""
        """The whole text, once it was sent. From then on only the item's closing events are missing."""
        self.is_spoken = False
        """The text comes with audio."""
        self.is_commentary = False
        """The item only announces the next step, such as a function call (upstream 6.4)."""
        self.is_complete = False
        """The upstream has finished the item."""
        self.is_closed = False
        """No more of the text is sent, because it was sent whole, or cut off."""
        self._repeated = 0
        self._resent_chars = 0
        self._differs = False

    @property
    def key(self) -> str | None:
        """The id of the item in the ledger and the playback."""
        return self.local_id or self.item_id

    @property
    def repeated_chars(self) -> int:
        """The number of characters at the beginning of the text that repeat `resent`, apart from white space.

        The number is 0 if the text and `resent` differ. `resent` is the text that the client has from the continued
        answer.
        """
        text, resent = self.transcript, self.resent
        while not self._differs and self._repeated < len(text) and self._resent_chars < len(resent):
            if resent[self._resent_chars].isspace():
                self._resent_chars += 1
            elif text[self._repeated].isspace():
                self._repeated += 1
            elif text[self._repeated] == resent[self._resent_chars]:
                self._repeated += 1
                self._resent_chars += 1
            else:
                self._differs = True
                self.searched_chars = 0
        return 0 if self._differs else self._repeated

    @property
    def delivered_chars(self) -> int:
        """The number of transcript characters that the client has, from this answer or the answer that it continues."""
        return max(self.sent_chars, self.repeated_chars)

    @property
    def client_has(self) -> str:
        """The text that the client has, from this answer or the answer that it continues."""
        if self.resent and self.repeated_chars == len(self.transcript):
            # Nothing but the beginning of the earlier text was generated so far.
            return self.resent
        return self.sent_text or self.transcript[: self.delivered_chars]

    def whole(self, words: str) -> str:
        """Return `words`, preceded by the words of the earlier answer that this answer continues."""
        return f"{self.before} {words.strip()}".strip()

    @property
    def is_continued(self) -> bool:
        """Whether the client has the beginning of the answer from an earlier response."""
        return bool(self.before or self.resent)

    def replace_text(self, content: str) -> None:
        """Replace the text by its final wording. The search for sentences begins where the client's text ends."""
        if content != self.transcript:
            self.transcript = content
            self._repeated = self._resent_chars = 0
            self._differs = False
        self.searched_chars = 0

    @property
    def has_output(self) -> bool:
        """Whether any audio of the part has arrived, or any of its text was sent."""
        return bool(self.received_s or self.sent_chars or self.sent_text)


class TextDelivery:
    """The account of one answer, with its parts in the order of their first events."""

    __slots__ = ("before", "dropped", "given", "is_excess_told", "parts", "received_chars", "resent")

    def __init__(self, resent: str = "", before: str = "") -> None:
        self.parts: list[ItemDelivery] = []
        self.resent = resent
        """The text of the continued answer that the client has already. The first item repeats this text."""
        self.before = before
        """The delivered words of the continued answer. The first item follows them."""
        self.given: ItemDelivery | None = None
        """The part of a verbatim text. If it is set, all audio of the answer belongs to it."""
        self.received_chars = 0
        """The characters of all texts. A text that comes in pieces and as a whole counts once, with the longer form."""
        self.dropped: tuple[str, ...] = ()
        """The newest items whose parts were dropped because there were too many. Their further text is not sent."""
        self.is_excess_told = False
        """The client got a warning that the answer has too many parts, or is too long."""

    @property
    def newest(self) -> ItemDelivery:
        """The part of the verbatim text if there is one; or else the newest part, or an empty one."""
        return self.given or (self.parts[-1] if self.parts else self._first(None, None))

    def give(self, item_id: str, content: str) -> None:
        """Begin the account of a verbatim text. The client has `content` already.

        All audio that follows belongs to the text.
        """
        given = ItemDelivery(item_id)
        given.transcript = given.sent_text = content
        given.sent_chars = len(content)
        given.is_spoken = given.is_closed = True
        self.given = given
        self.parts.append(given)

    def announce(self, item: openai.Item) -> None:
        """Begin the item of an answer.

        A closed part with the same id belongs to another item, because ids may begin anew.
        """
        part = self.find(item.id)
        if part is None or part.is_closed:
            part = self._add(item.id, None)
        part.is_commentary = item.phase == "commentary"

    def of_text(self, item_id: str | None, content_index: int | None) -> ItemDelivery:
        """Return the part that an event with text belongs to. Without an id the text belongs to the newest item."""
        for part in reversed(self.parts):
            is_of_item = item_id is None or part.item_id in (item_id, None)
            if is_of_item and (content_index is None or part.content_index in (content_index, None)):
                part.content_index = content_index if part.content_index is None else part.content_index
                # speech-to-speech announces no items (upstream 12.4): the first event names the item.
                part.item_id = part.item_id or item_id
                return part
        return self._add(item_id, content_index)

    def of_audio(self, item_id: str | None) -> ItemDelivery:
        """Return the part that a piece of audio belongs to. Without an id the audio belongs to the newest item."""
        if self.given is not None:
            return self.given
        parts = self.parts
        if parts and (item_id is None or parts[-1].item_id == item_id or parts[-1].item_id is None):
            return parts[-1]
        return self.find(item_id) or self._add(item_id, None)

    def begin(self, item_id: str | None, content_index: int | None) -> ItemDelivery:
        """Begin another part."""
        return self._add(item_id, content_index)

    def takes(self, further_chars: int) -> bool:
        """Whether the answer is not too long yet. If it is not, count the further text."""
        if self.received_chars >= MAX_CHARS:
            return False
        self.received_chars += max(0, further_chars)
        return True

    def take_excess(self) -> ItemDelivery | None:
        """Remove and return the oldest part if the answer has too many parts. A verbatim text stays.

        Further text of the item is not sent, unless the part had no text yet.
        """
        if len(self.parts) <= MAX_PARTS:
            return None
        part = self.parts.pop(1 if self.parts[0] is self.given else 0)
        if part.item_id is not None and (part.is_closed or part.transcript):
            self.dropped = newest(self.dropped, part.item_id, MAX_PARTS)
        return part

    def find(self, item_id: str | None) -> ItemDelivery | None:
        """Return the newest part of an item, or None."""
        return next((it for it in reversed(self.parts) if it.item_id == item_id), None)

    def find_by_key(self, key: str | None) -> ItemDelivery | None:
        """Return the newest part with an id of the ledger and the playback."""
        return next((it for it in reversed(self.parts) if it.key == key), None)

    def forget_unnamed(self) -> None:
        """Forget the finished parts without an item id, because another response may bring such parts."""
        self.parts = [part for part in self.parts if not part.is_closed or part.item_id is not None]

    def forget_oldest(self, most: int) -> None:
        """Forget all parts but the newest `most`, and take further text, because another response begins."""
        self.parts = self.parts[-most:]
        self.received_chars, self.is_excess_told = 0, False

    def record_end(self, item: openai.Item) -> None:
        """Record whether a finished item is whole."""
        for part in self.parts:
            if part.item_id == item.id and item.id is not None:
                part.is_complete = item.status == "completed"

    def _add(self, item_id: str | None, content_index: int | None) -> ItemDelivery:
        # Only the first text of a response repeats text of the answer that it continues.
        is_first = not any(part is not self.given for part in self.parts)
        part = self._first(item_id, content_index) if is_first else ItemDelivery(item_id, content_index)
        self.parts.append(part)
        return part

    def _first(self, item_id: str | None, content_index: int | None) -> ItemDelivery:
        return ItemDelivery(item_id, content_index, resent=self.resent, before=self.before)
