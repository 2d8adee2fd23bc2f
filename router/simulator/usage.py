"""Token counts, by the service's published rules of thumb if they exist (upstream 11.2). Pure."""

from __future__ import annotations

import re
from typing import Any, Final

_TOKEN: Final = re.compile(r"\s*(?:\w+|[^\w\s]+)|\s+")

MS_PER_USER_TOKEN: Final = 100
MS_PER_ASSISTANT_TOKEN: Final = 50
_CACHE_BLOCK: Final = 64


def tokens(text: str) -> list[str]:
    """Split `text` into the pieces that are streamed. The joined pieces equal the text."""
    return _TOKEN.findall(text)


def token_at(text: str, at: int) -> str:
    """Return the token that begins at the index `at`; empty at the end of the text."""
    found = _TOKEN.match(text, at)
    return "" if found is None else found.group()


def response_usage(*, text_in: int, audio_in: int, text_out: int, audio_out: int, cached: int) -> dict[str, Any]:
    """Return the `usage` of a response.

    Args:
        text_in: text tokens of instructions, tools and conversation.
        audio_in: audio tokens of the conversation.
        text_out: text tokens of the answer.
        audio_out: audio tokens of the answer.
        cached: text input tokens of the previous response; only whole blocks of 64 count as cached.
    """
    cached = min(cached, text_in) // _CACHE_BLOCK * _CACHE_BLOCK
    total_in, total_out = text_in + audio_in, text_out + audio_out
    return {
        "total_tokens": total_in + total_out,
        "input_tokens": total_in,
        "output_tokens": total_out,
        "input_token_details": {
            "text_tokens": text_in,
            "audio_tokens": audio_in,
            "image_tokens": 0,
            "cached_tokens": cached,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }


def transcription_usage(model: str, audio_ms: int, transcript: str) -> dict[str, Any]:
    """Return the `usage` of a transcription: tokens for the gpt-4o family, a duration for the others."""
    if not model.startswith("gpt-4o"):
        return {"type": "duration", "seconds": -(-audio_ms // 1000)}
    audio_in, text_out = audio_ms // MS_PER_USER_TOKEN, len(tokens(transcript))
    return {
        "type": "tokens",
        "total_tokens": audio_in + text_out,
        "input_tokens": audio_in,
        "output_tokens": text_out,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio_in},
    }
