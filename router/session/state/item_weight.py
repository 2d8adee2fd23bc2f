"""The price of an item of the conversation, in estimated tokens and in bytes, and the cut of an item to a price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from router.audio.formats import LINEAR16_24K
from router.openai import events as openai

if TYPE_CHECKING:
    from collections.abc import Iterator

Item: TypeAlias = openai.NewItem | dict[str, Any]
"""An item of the router's own, or a client's own item as the client wrote it."""

CHARACTERS_PER_TOKEN: Final = 4
AUDIO_MS_PER_TOKEN: Final = 100
"""The milliseconds of the user's speech that cost one token (upstream 11.2)."""
IMAGE_TOKENS: Final = 1000
"""The tokens of an image: some 800 for a photograph in full detail."""

_MEDIA: Final = {"input_audio": "audio", "input_image": "image_url"}
"""The fields with base64, by the type of the part. The length of base64 does not tell how many tokens it costs."""

_SHORTENED: Final = "…"


class Weight(NamedTuple):
    """The price of an item: its estimated tokens, and its bytes."""

    tokens: int
    size_bytes: int

    def exceeds(self, most: Weight) -> bool:
        """Whether the item exceeds the tokens or the bytes of `most`."""
        return self.tokens > most.tokens or self.size_bytes > most.size_bytes


def weight_of(item: Item) -> Weight:
    """Return the approximate price of an item."""
    size_bytes = len(msgspec.json.encode(item))
    media = list(_media(item))
    text_bytes = size_bytes - sum(length for _, length in media)
    return Weight(text_bytes // CHARACTERS_PER_TOKEN + sum(tokens for tokens, _ in media), size_bytes)


def _media(item: Item) -> Iterator[tuple[int, int]]:
    """Yield the price in tokens and the length of the base64, for each image and sound of a client's own item."""
    for part in _parts(item):
        data = part.get(_MEDIA.get(str(part.get("type")), ""))
        if not isinstance(data, str):
            continue
        is_audio = part["type"] == "input_audio"
        # The format is that of the session, which is not known here. For G.711 the true price is six times this one.
        duration_ms = LINEAR16_24K.duration_ms(len(data) * 3 // 4)
        yield int(duration_ms // AUDIO_MS_PER_TOKEN) if is_audio else IMAGE_TOKENS, len(data)


def _parts(item: Item) -> list[dict[str, Any]]:
    content = item.get("content") if isinstance(item, dict) else None
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def cut_to(item: Item, most: Weight) -> Item:
    """Return the item unchanged if it does not exceed `most`; else the start of its texts, without images and sounds.

    The arguments of a long call become `{}`. The ledger drops its oldest entries when it is full. So an item that is
    too large would displace all others.
    """
    budget_bytes = min(most.tokens * CHARACTERS_PER_TOKEN, most.size_bytes)
    shorter = item
    # JSON escapes some characters, so the first cut may not be enough.
    while budget_bytes > 0 and weight_of(shorter).exceeds(most):
        shorter, budget_bytes = _cut(item, budget_bytes), budget_bytes // 2
    return shorter


def _cut(item: Item, max_bytes: int) -> Item:
    if isinstance(item, dict):
        return _cut_dict(item, max_bytes)
    if isinstance(item, openai.MessageItem):
        return msgspec.structs.replace(item, content=[_cut_part(part, max_bytes) for part in item.content])
    if isinstance(item, openai.FunctionCallOutputItem):
        return msgspec.structs.replace(item, output=_beginning(item.output, max_bytes))
    # Half of the arguments would be no JSON.
    return msgspec.structs.replace(item, arguments="{}")


def _cut_part(part: Any, max_bytes: int) -> Any:
    return msgspec.structs.replace(part, text=_beginning(part.text, max_bytes)) if hasattr(part, "text") else part


def _cut_dict(item: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    """Return a client's own item with only the fields that an item needs. Cut each text to `max_bytes`."""
    kept: dict[str, Any] = {name: item[name] for name in ("id", "type", "role", "call_id", "name") if name in item}
    if "output" in item:
        kept["output"] = _beginning(str(item["output"]), max_bytes)
    if "arguments" in item:
        kept["arguments"] = "{}"
    if "content" in item:
        texts = [part for part in _parts(item) if isinstance(part.get("text"), str)]
        share = max_bytes // max(1, len(texts))
        kept["content"] = [{**part, "text": _beginning(part["text"], share)} for part in texts] or [_placeholder(item)]
    return kept


def _placeholder(item: dict[str, Any]) -> dict[str, Any]:
    kind = "output_text" if item.get("role") == "assistant" else "input_text"
    return {"type": kind, "text": _SHORTENED}


def _beginning(text: str, max_bytes: int) -> str:
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= max_bytes else encoded[:max_bytes].decode(errors="ignore") + _SHORTENED
