"""The items that Deepgram was not sent yet: the conversation for its Settings, and the question to ask. Pure."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import msgspec

from router.fronts.realtime.kept_items import ROOT

if TYPE_CHECKING:
    from router.fronts.realtime.wire import Fields

OUTPUT_TEXT: Final = "(The function returned: {output})"
"""The question that carries a function's output if an earlier upstream, and not Deepgram, called the function."""

OVERHEAD_BYTES: Final = 256
"""The bytes that an item occupies in addition to its texts, by estimate."""

GO_ON_TEXT: Final = "(Please go on.)"
"""The question of a request without a new item and without instructions."""


class Role(enum.Enum):
    """The role of an item in the conversation."""

    USER = "user"
    ASSISTANT = "assistant"
    CALL = "call"
    OUTPUT = "output"


class Entry(msgspec.Struct, kw_only=True):
    """The content of one item that Deepgram's protocol can carry."""

    role: Role
    item_id: str
    text: str = ""
    """The words, the arguments of a function, or its output."""
    audio: str = ""
    """The speech in base64, if its words are not known."""
    call_id: str = ""
    name: str = ""

    @property
    def size_bytes(self) -> int:
        """The bytes that the item occupies, by estimate."""
        return OVERHEAD_BYTES + len(self.text.encode()) + len(self.audio)


class Question(msgspec.Struct, frozen=True):
    """The question for Deepgram: a text, or speech in base64 if its words are not known."""

    text: str
    audio: str = ""
    is_made: bool = False
    """Whether the text comes from no item: it is the instructions of a request, or `GO_ON_TEXT`."""

    @property
    def size_bytes(self) -> int:
        """The bytes that the question occupies, by estimate."""
        return OVERHEAD_BYTES + len(self.text.encode()) + len(self.audio)


class UnsupportedItemError(ValueError):
    """Deepgram's protocol cannot carry an item."""


def read(item: Fields, *, takes_images: bool = False) -> Entry:
    """Return an item as an entry. With `takes_images` an item with an image becomes an entry of its words or speech.

    Raises:
        UnsupportedItemError: Deepgram's protocol cannot carry the item. The text is a sentence for the client.
    """
    kind, item_id = item.get("type"), str(item.get("id", ""))
    call_id = str(item.get("call_id", ""))
    if kind == "function_call_output":
        return Entry(role=Role.OUTPUT, item_id=item_id, text=_string(item, "output"), call_id=call_id)
    if kind == "function_call":
        arguments = _string(item, "arguments") or "{}"
        return Entry(role=Role.CALL, item_id=item_id, text=arguments, call_id=call_id, name=_string(item, "name"))
    if kind != "message" or item.get("role") not in ("user", "assistant"):
        raise UnsupportedItemError(f"Deepgram's backend takes no item of the type {kind!s:.40}.")
    return _message(item, item_id, takes_images=takes_images)


def _message(item: Fields, item_id: str, *, takes_images: bool) -> Entry:
    content = item.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    text = " ".join(words for part in parts if (words := words_of(part)))
    audio = next((sound for part in parts if (sound := _string(part, "audio"))), "")
    has_image = any(part.get("type") == "input_image" for part in parts)
    if has_image and not (takes_images and (text or audio)):
        raise UnsupportedItemError("Deepgram's backend takes no images.")
    role = Role.USER if item.get("role") == "user" else Role.ASSISTANT
    return Entry(role=role, item_id=item_id, text=text, audio="" if text else audio)


def words_of(part: Fields) -> str:
    """Return the words of a part of an item's content."""
    return _string(part, "text") or _string(part, "transcript")


class History:
    """The items of one upstream's session that Deepgram has not got yet."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.size_bytes = 0
        """The bytes that the items occupy, by estimate."""
        self._is_begun = False
        """Whether Deepgram has its Settings with the conversation, so that a later item can only be a question."""

    def place_behind(self, item_id: str) -> int | None:
        """Return the index for a new item that follows `item_id`; None if that item does not wait for Deepgram.

        An `item_id` of `root` means the beginning of the conversation: 0, or None once Deepgram has its Settings.
        """
        if item_id == ROOT:
            return None if self._is_begun else 0
        return next((at for at, entry in enumerate(self._entries, 1) if entry.item_id == item_id), None)

    def add(self, entry: Entry, place: int | None = None) -> None:
        """Add an item at a place, or at the end."""
        self._entries.insert(len(self._entries) if place is None else place, entry)
        self.size_bytes += entry.size_bytes

    def remove(self, item_id: object) -> bool:
        """Remove an item, and return whether it was there."""
        kept = [entry for entry in self._entries if entry.item_id != item_id]
        is_found = len(kept) < len(self._entries)
        self._entries = kept
        self._weigh()
        return is_found

    def begin(self) -> list[Fields]:
        """Remove the waiting items, and return them as the messages of the conversation for Deepgram's Settings.

        Drop the items that the Settings cannot contain, such as speech without words.
        """
        outputs = {it.call_id: it.text for it in self._entries if it.role is Role.OUTPUT}
        messages = [written for entry in self._entries if (written := _written(entry, outputs)) is not None]
        self._entries, self._is_begun = [], True
        self.size_bytes = 0
        return messages

    def take_question(self, *, is_repeated: bool) -> Question | None:
        """Return the question that a request for a response asks, and remove its items.

        Return None if no item awaits an answer. With `is_repeated` the relay asks the question again, because an
        upstream was lost during the answer. The answer begins again, so its beginning is removed, too.
        """
        while is_repeated and self._entries and self._entries[-1].role is Role.ASSISTANT:
            self._entries.pop()
        answered = [at for at, entry in enumerate(self._entries) if entry.role is Role.ASSISTANT]
        first = answered[-1] + 1 if answered else 0
        questions = self._entries[first:]
        outputs = [at for at, entry in enumerate(questions) if entry.role is Role.OUTPUT]
        if outputs and not self._is_begun:
            # The calls stay in the context with the question before them, so that no function is called again.
            asked = questions[outputs[-1] :]
            self._entries = self._entries[: first + outputs[-1] + 1]
        else:
            asked = questions
            self._entries = [*self._entries[:first], *(it for it in questions if it.role is Role.CALL)]
        self._weigh()
        texts = [words for entry in asked if (words := _asked(entry))]
        if texts:
            return Question("\n".join(texts))
        audio = next((entry.audio for entry in reversed(asked) if entry.audio), "")
        return Question("", audio) if audio else None

    def _weigh(self) -> None:
        self.size_bytes = sum(entry.size_bytes for entry in self._entries)


def _asked(entry: Entry) -> str:
    if entry.role is Role.OUTPUT:
        return OUTPUT_TEXT.format(output=entry.text)
    return entry.text if entry.role is Role.USER else ""


def _written(entry: Entry, outputs: dict[str, str]) -> Fields | None:
    """Return an item as a message of Deepgram's context.

    Return None for speech without words, and for a call without its output. An output is in the message of its call.
    """
    if entry.role is Role.CALL and entry.call_id in outputs:
        call = {"id": entry.call_id, "name": entry.name, "client_side": True, "arguments": entry.text}
        return {"type": "History", "function_calls": [{**call, "response": outputs[entry.call_id]}]}
    if entry.role in (Role.USER, Role.ASSISTANT) and entry.text:
        return {"type": "History", "role": entry.role.value, "content": entry.text}
    return None


def _string(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
