"""The parameters of a transcription, and the Settings for which they ask. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from router.access.request import values_of
from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.translation import session_config

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE: Final = "transcription"
"""The value of `service` with which the React component requests transcription."""

OWN: Final = frozenset({"service", "token"})
"""The router's own parameters, which do not go to Deepgram."""

_MAX_SHOWN_CHARS: Final = 40


def problem_of(query: Mapping[str, str]) -> str | None:
    """Return why a session of the router cannot transcribe as these parameters request, or None if it can."""
    if "encoding" not in query:
        return "the parameter encoding is missing: audio in a container is not decoded here"
    if query.get("channels", "1") != "1":
        return "the parameter channels must be 1"
    rate = query.get("sample_rate", "16000")
    if not rate.isdecimal() or len(rate) > len("48000"):
        return f"the parameter sample_rate is not a number of samples: {rate[:_MAX_SHOWN_CHARS]}"
    decoded = codec.decode(settings_of(query))
    if isinstance(decoded, codec.Unparsable):
        return decoded.problem
    assert isinstance(decoded, deepgram.Settings)  # noqa: S101 - `settings_of` writes this type
    invalid = session_config.validate_settings(decoded)
    return invalid.description if invalid is not None else None


def settings_of(query: Mapping[str, str]) -> str:
    """Return the Settings, as a message, of a session that transcribes as these parameters request."""
    provider: dict[str, Any] = {"type": "deepgram"}
    if query.get("language"):
        provider["language"] = query["language"]
    terms = [term for term in values_of(query, "keyterm") if term]
    if terms:
        provider["keyterms"] = terms
    heard = {"encoding": query["encoding"], "sample_rate": int(query.get("sample_rate", "16000"))}
    settings = {"type": "Settings", "audio": {"input": heard}, "agent": {"listen": {"provider": provider}}}
    return orjson.dumps(settings).decode()


def is_on(query: Mapping[str, str], name: str) -> bool:
    """Whether the parameter `name` is `true`, in lower or upper case."""
    return query.get(name, "").lower() == "true"
