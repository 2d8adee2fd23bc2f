"""The conversation: its items in order, and the operations on them. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pybase64

from router.simulator import voice
from router.simulator.checks import decoded_audio
from router.simulator.errors import RequestError


class Item(msgspec.Struct, kw_only=True):
    """One item of the conversation. It is mutable, because a generated item grows."""

    id: str
    kind: str
    fields: dict[str, Any]
    """The item's fields on the wire except `id` and `type`, in the service's order."""
    heard: str | None = None
    """The words of a spoken turn, whether or not the client gets a transcript of them."""
    is_being_recognized: bool = False
    """Whether the words are not known yet. Until then `heard` is a description of the sound."""
    audio: bytes = b""
    """The user's audio, for `conversation.item.retrieve`."""
    audio_format: str = "audio/pcm"
    audio_ms: int = 0
    """The duration, in milliseconds, of the committed audio of a user's item, or of the audio generated so far for an
    answer.
    """
    spoken: str = ""
    """The text of assistant audio. `sound` keeps the audio of spoken words.

    The audio of the wordless voice is computed again from this text.
    """
    sound: bytearray = msgspec.field(default_factory=bytearray)
    """The audio of spoken words, from the beginning up to a bound."""
    ms_per_character: float = voice.DEFAULT_MS_PER_CHARACTER
    is_truncated: bool = False

    def as_wire(self) -> dict[str, Any]:
        """Return the item in its form in events, without audio."""
        return {"id": self.id, "type": self.kind, **self.fields}

    def retrieved(self) -> dict[str, Any]:
        """Return the item with its audio, as `conversation.item.retrieved` has it."""
        wire = self.as_wire()
        audio = self._audio_bytes()
        if audio and wire.get("content"):
            first, *rest = wire["content"]
            wire["content"] = [{**first, "audio": pybase64.b64encode_as_string(audio)}, *rest]
        return wire

    def keep_sound(self, audio: bytes, max_s: float) -> None:
        """Append assistant audio for `conversation.item.retrieve`, up to `max_s` seconds in all."""
        left = voice.bytes_of_ms(int(max_s * 1000), self.audio_format) - len(self.sound)
        self.sound += audio[: max(0, left)]

    def _audio_bytes(self) -> bytes:
        if self.sound:
            return bytes(self.sound[: voice.bytes_of_ms(self.audio_ms, self.audio_format)])
        if self.spoken:
            return voice.speech_chunk(self.spoken, 0, self.audio_ms, self.audio_format, int(self.ms_per_character))
        return self.audio

    @property
    def kept_words(self) -> str:
        """The words in the kept part of truncated assistant audio. A model would keep that audio, but not its text."""
        end = int(self.audio_ms / self.ms_per_character)
        return self.spoken if end >= len(self.spoken) else self.spoken[: self.spoken.rfind(" ", 0, end + 1)].rstrip()

    @property
    def is_assistant_audio(self) -> bool:
        """Whether the item is an assistant message that has, or had, audio."""
        return bool(self.spoken)


class Conversation:
    """The default conversation of a session."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self.items: list[Item] = []
        self.has_assistant_audio = False

    def find(self, item_id: str) -> Item | None:
        """Return the item of that id, or None."""
        return next((item for item in self.items if item.id == item_id), None)

    @property
    def last_id(self) -> str | None:
        """The id of the last item, or None for an empty conversation."""
        return self.items[-1].id if self.items else None

    def check_insert(self, item_id: str | None, previous_item_id: str | None) -> None:
        """Raise a `RequestError` for an id that is taken, or for a predecessor that does not exist."""
        if item_id is not None and self.find(item_id) is not None:
            message = f"Error adding item: an item with id '{item_id}' already exists in the conversation."
            raise RequestError("invalid_value", message, "item.id")
        if previous_item_id not in (None, ROOT) and self.find(str(previous_item_id)) is None:
            message = f"Error adding item: the previous item with id '{previous_item_id}' does not exist."
            raise RequestError("item_create_invalid_previous_item_id", message, "previous_item_id")

    def insert(self, item: Item, previous_item_id: str | None = None) -> str | None:
        """Insert `item` after the item `previous_item_id`, and return the id of the item before it.

        For `previous_item_id`, None means the end, and "root" the beginning.
        """
        index = self._index_after(previous_item_id)
        self.items.insert(index, item)
        return self.items[index - 1].id if index else None

    def _index_after(self, previous_item_id: str | None) -> int:
        if previous_item_id == ROOT:
            return 0
        for index, item in enumerate(self.items):
            if item.id == previous_item_id:
                return index + 1
        return len(self.items)

    def before(self, item: Item) -> str | None:
        """Return the id of the item before `item`, or None if `item` is the first or was deleted."""
        # A client may delete an item while it is streamed. Then the item has no place.
        index = self.items.index(item) if item in self.items else 0
        return self.items[index - 1].id if index else None

    def delete(self, item_id: str) -> None:
        """Remove an item; raises `RequestError` for an unknown id."""
        self.items.remove(self._known(item_id, "delet"))

    def retrieve(self, item_id: str) -> Item:
        """Return the item of that id; raises `RequestError` for an unknown id."""
        return self._known(item_id, "retriev")

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut assistant audio, and drop its whole transcript, as the service does (upstream 7.2)."""
        item = self._known(item_id, "truncat")
        if not item.is_assistant_audio:
            raise RequestError("invalid_value", "Only model output audio messages can be truncated.", "item_id")
        if item.is_truncated:
            raise RequestError("item_already_truncated", f"Item '{item_id}' is already truncated.", "item_id")
        if content_index >= len(item.fields["content"]):
            raise RequestError("invalid_value", f"Content part {content_index} does not exist.", "content_index")
        if audio_end_ms > item.audio_ms:
            message = f"Audio content of {item.audio_ms}ms is already shorter than {audio_end_ms}ms"
            raise RequestError("invalid_value", message, "audio_end_ms")
        item.is_truncated = True
        item.audio_ms = audio_end_ms
        # Make a new list, because events with the old list may not be serialized yet.
        item.fields["content"] = [{"type": "output_audio", "transcript": ""}]

    def _known(self, item_id: str, verb: str) -> Item:
        # Both texts contain the stem of the verb: `Error deleting item`, `item_delete_invalid_item_id`.
        item = self.find(item_id)
        if item is None:
            message = f"Error {verb}ing item: the item with id '{item_id}' does not exist."
            raise RequestError(f"item_{verb}e_invalid_item_id", message, "item_id")
        return item


ROOT: Final = "root"


def item_from(wire: dict[str, Any], item_id: str, audio_format: str) -> Item:
    """Make an item from a client's JSON, which the schema has accepted."""
    kind = wire["type"]
    if kind == "message":
        return _message(wire, item_id, audio_format)
    fields = {key: wire[key] for key in _SHOWN[kind] if key in wire}
    return Item(id=item_id, kind=kind, fields={**_STATUS.get(kind, {}), **fields})


# The fields that the service echoes, in its order. It echoes no status of an output.
_SHOWN: Final = {
    "function_call": ("name", "call_id", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve", "reason"),
}
_STATUS: Final = {"function_call": {"status": "completed"}}


def _message(wire: dict[str, Any], item_id: str, audio_format: str) -> Item:
    content = [_shown_part(part) for part in wire["content"]]
    audio = b"".join(
        decoded_audio(part["audio"], f"item.content[{index}].audio")
        for index, part in enumerate(wire["content"])
        if "audio" in part
    )
    fields = {"status": "completed", "role": wire["role"], "content": content}
    audio_ms = voice.ms_of_bytes(len(audio), audio_format)
    item = Item(id=item_id, kind="message", fields=fields, audio=audio, audio_format=audio_format, audio_ms=audio_ms)
    if audio:
        transcripts = [part["transcript"] for part in content if part.get("transcript")]
        item.heard = " ".join(transcripts) or describe_speech(audio_ms)
    return item


def is_untranscribed(item: Item) -> bool:
    """Whether a client's item has audio but no transcript."""
    return bool(item.audio) and not any(part.get("transcript") for part in item.fields["content"])


def _shown_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "input_audio":
        return {"type": "input_audio", "transcript": part.get("transcript")}
    return dict(part)


def describe_speech(audio_ms: int) -> str:
    """Return the text that stands for audio whose words are not known."""
    return f"(speech, {audio_ms / 1000:.1f} seconds)"
