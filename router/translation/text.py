"""Text: items and transcripts to ConversationText, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import orjson

from router.deepgram import messages as deepgram
from router.openai import events as openai

NewId = Callable[[], str]
"""A function that makes an item id of at most 32 characters (upstream 11.1)."""


MAX_TEXT_BYTES: Final = 512 * 1024
"""The longest text in one message to a client.

Deepgram's Python clients close the connection at a message of more than 1 MiB.
"""

_MAX_ESCAPED: Final = 6
"""The most bytes of one character in JSON, as in `\\u0001`."""


def parts_of(content: str) -> list[str]:
    """Return a text in parts that fit into one message each, cut between words if that is possible."""
    if len(content) * _MAX_ESCAPED <= MAX_TEXT_BYTES:
        return [content]
    if len(content) <= MAX_TEXT_BYTES and len(orjson.dumps(content)) <= MAX_TEXT_BYTES:
        return [content]
    middle = len(content) // 2
    space = content.find(" ", middle, middle + MAX_WORD_CHARS)
    cut = space if space > 0 else middle
    return parts_of(content[:cut]) + parts_of(content[cut:].lstrip())


MAX_WORD_CHARS: Final = 1000
"""If a long text is cut, the end of a word is searched in this many characters."""


def message_item(item_id: str, role: Literal["user", "assistant"], content: str) -> openai.MessageItem:
    """Make a message item with a text of the user or the assistant.

    The role decides the type of the item's content part (upstream 3.2).
    """
    part = openai.InputText(text=content) if role == "user" else openai.OutputText(text=content)
    return openai.MessageItem(id=item_id, role=role, content=[part])


def item_text(item: openai.Item) -> str:
    """Return the text of a finished assistant item: its text parts, or the transcripts of its audio."""
    parts = item.content or []
    return "".join(part.text or part.transcript or "" for part in parts)


def is_assistant_message(item: openai.Item) -> bool:
    """Whether an item is a message of the assistant. An item without a `type` counts as a message."""
    return item.role == "assistant" and item.type in ("message", None)


def history_of(message: deepgram.ConversationText) -> deepgram.HistoryText:
    """Make the History message that follows a ConversationText."""
    return deepgram.HistoryText(role=message.role, content=message.content)


def transcript(content: str, *, is_final: bool, words: Any = None) -> deepgram.Transcript:
    """Make a Transcript of the `/openai` profile. It is interim before the user's ConversationText, and final after it.

    `words` is the field of the upstream's event with the words and their times, if it has one.
    """
    alternative = deepgram.Alternative(transcript=content, confidence=_CONFIDENCE, words=_timed(words))
    channel = deepgram.Channel(alternatives=[alternative])
    return deepgram.Transcript(transcript=content, channel=channel, is_final=is_final, speech_final=is_final)


_CONFIDENCE: Final = 1.0
"""The confidence in a message, which requires one. The upstream reports one only if logprobs are requested."""


def _timed(words: Any) -> list[deepgram.Word]:
    """Return the readable words of an event: each of them has a text, a start and an end in seconds."""
    found = []
    for given in words if isinstance(words, list) else ():
        fields = given if isinstance(given, dict) else {}
        word, start_s, end_s = fields.get("word"), _number(fields.get("start")), _number(fields.get("end"))
        if isinstance(word, str) and start_s is not None and end_s is not None:
            confidence = _number(fields.get("confidence"))
            found.append(
                deepgram.Word(
                    word=word, start=start_s, end=end_s, confidence=_CONFIDENCE if confidence is None else confidence
                )
            )
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def utterance_end(audio_end_ms: float | None) -> deepgram.UtteranceEnd:
    """Make the UtteranceEnd that follows a `speech_stopped` with this `audio_end_ms`."""
    return deepgram.UtteranceEnd(channel=[0, 1], last_word_end=(audio_end_ms or 0.0) / 1000)
