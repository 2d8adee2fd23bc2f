"""Deepgram's messages about the user's words (`Results`, `SpeechStarted`, `UtteranceEnd`, `Metadata`). Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson

CHANNEL: Final = (0, 1)
"""The index of the only channel, and the number of channels."""


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The user's words in one turn: the words so far, or all of them if `is_final`."""

    text: str
    confidence: float
    is_final: bool
    start_s: float
    """The time at which the words begin, in seconds from the start of the audio."""
    duration_s: float


def results(words: Words, request_id: str, model: str) -> str:
    """Return the words in a `Results` message, as a frame."""
    alternative = {"transcript": words.text, "confidence": words.confidence, "words": []}
    metadata = {
        "request_id": request_id,
        "model_uuid": "",
        "model_info": {"name": model, "version": "", "arch": ""},
    }
    return _written(
        "Results",
        channel_index=CHANNEL,
        start=round(words.start_s, 3),
        duration=round(words.duration_s, 3),
        is_final=words.is_final,
        speech_final=words.is_final,
        channel={"alternatives": [alternative]},
        metadata=metadata,
    )


def speech_started(at_s: float) -> str:
    """Return `SpeechStarted` as a frame. `at_s` is the start of the speech, in seconds from the start of the audio."""
    return _written("SpeechStarted", channel=CHANNEL, timestamp=round(at_s, 3))


def utterance_end(last_word_end_s: float) -> str:
    """Return `UtteranceEnd` as a frame, with the end of the last word in seconds."""
    return _written("UtteranceEnd", channel=CHANNEL, last_word_end=round(last_word_end_s, 3))


def metadata(request_id: str, duration_s: float) -> str:
    """Return, as a frame, the `Metadata` that follows the last words. `duration_s` is the length of all audio."""
    return _written(
        "Metadata",
        transaction_key="deprecated",
        request_id=request_id,
        sha256="",
        created="",
        duration=round(duration_s, 3),
        channels=1,
    )


def error(code: str, description: str) -> str:
    """Return an `Error` as a frame."""
    return _written("Error", variant=code, code=code, description=description, message=description)


def warning(code: str, description: str) -> str:
    """Return a `Warning` as a frame."""
    return _written("Warning", code=code, description=description, message=description)


def _written(kind: str, **fields: Any) -> str:
    return orjson.dumps({"type": kind, **fields}).decode()
