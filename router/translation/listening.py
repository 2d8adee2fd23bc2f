"""`agent.listen` to `audio.input`: what transcribes the user's speech, and what ends a turn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.deepgram import blocks

TurnDetection = Literal["server_vad", "semantic_vad", "manual"]

THE_CLIENT_S: Final = "the client's"
"""The mode of a session whose client ends turns, or asks for answers, itself."""

_TURN_DETECTION: Final[dict[str, dict[str, Any] | None]] = {
    # Every field is explicit: the defaults differ between models (reference, 4).
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
    "manual": None,
}

_EAGERNESS: Final = (("low", 8000), ("auto", 4000), ("high", 2000))
"""The most patient first, with how long each waits at most, in ms (reference, 4)."""

_PATIENT_THRESHOLD: Final = 0.85
_HASTY_THRESHOLD: Final = 0.6


def detection_mode(agent: blocks.Agent, default: TurnDetection) -> TurnDetection:
    """How a turn ends: what the client names, or else a judge of meaning where it says how sure that is to be."""
    if agent.turn_detection is not None:
        return agent.turn_detection
    provider = agent.listen.provider
    is_judged = provider.eot_threshold is not None or provider.eot_timeout_ms is not None
    return "semantic_vad" if is_judged and default == "server_vad" else default


def passthrough_detection(session: Any, before: str) -> str:
    """How a turn ends after a client's own `session.update`: it is the client's, where the upstream does not do all."""
    heard = session.get("audio") if isinstance(session, dict) else None
    heard = heard.get("input") if isinstance(heard, dict) else None
    if not isinstance(heard, dict) or "turn_detection" not in heard:
        return before
    given = heard["turn_detection"]
    if not isinstance(given, dict) or False in (given.get("create_response"), given.get("interrupt_response")):
        return THE_CLIENT_S
    kind = given.get("type", before)
    return kind if isinstance(kind, str) and kind in _TURN_DETECTION else before


def turn_detection(provider: blocks.ListenProvider, mode: TurnDetection) -> dict[str, Any] | None:
    """The `turn_detection` of a mode."""
    detection = _TURN_DETECTION[mode]
    if detection is None or mode != "semantic_vad":
        return detection
    return {**detection, "eagerness": _eagerness(provider)}


def _eagerness(provider: blocks.ListenProvider) -> str:
    """How sure the end of a turn is to be says how patient to be; the time-out, how patient at most."""
    threshold, most_ms = provider.eot_threshold, provider.eot_timeout_ms
    first = 1
    if threshold is not None:
        first = 0 if threshold >= _PATIENT_THRESHOLD else 2 if threshold <= _HASTY_THRESHOLD else 1
    fitting = (name for name, waits_ms in _EAGERNESS[first:] if most_ms is None or waits_ms <= most_ms)
    return next(fitting, "high")


# Transcription. What a model takes is listed in the reference, 4; one that we do not know gets its language alone.


def transcription(agent: blocks.Agent, model: str) -> dict[str, Any]:
    """The `transcription` of these blocks."""
    provider = agent.listen.provider
    hints = [code for code in map(language_code, provider.hints or []) if code]
    code = language_code(provider.language or agent.language)
    fields: dict[str, Any] = {"model": model}
    if provider.hints is not None and model.startswith(_SEVERAL_LANGUAGES):
        fields["languages"] = hints
    elif provider.language is None and len(hints) == 1:
        fields["language"] = hints[0]
    elif code is not None:
        fields["language"] = code
    if provider.keyterms is not None:
        fields.update(_with_key_terms(model, provider.keyterms))
    return fields


def language_code(language: str | None) -> str | None:
    """The ISO 639-1 code of a language tag; None for none, and for `multi`."""
    code = re.match(r"([a-z]{2})(?:-|$)", language or "")
    return code[1] if code else None


_SEVERAL_LANGUAGES: Final = ("gpt-transcribe", "gpt-live-transcribe")


def _with_key_terms(model: str, terms: list[str]) -> dict[str, Any]:
    said = next((said for prefix, said in _KEY_TERMS if model.startswith(prefix)), None)
    return said(terms) if said is not None else {}


_KEY_TERMS: Final[tuple[tuple[str, Callable[[list[str]], dict[str, Any]] | None], ...]] = (
    # By the beginning of the model's name, the longer before the shorter.
    ("gpt-4o-transcribe-diarize", None),
    ("gpt-4o-transcribe", lambda terms: {"prompt": f"Expect these words: {', '.join(terms)}." if terms else ""}),
    ("gpt-4o-mini-transcribe", lambda terms: {"prompt": f"Expect these words: {', '.join(terms)}." if terms else ""}),
    ("whisper-1", lambda terms: {"prompt": ", ".join(terms)}),
    ("gpt-transcribe", lambda terms: {"keywords": terms}),
    ("gpt-live-transcribe", lambda terms: {"keywords": terms}),
)
"""What a list of words to expect becomes; None where the model takes none."""


def updated(before: blocks.ListenProvider, given: blocks.ListenProvider) -> blocks.ListenProvider:
    """`before` after an UpdateListen: what it omits stays, but for `language_hints` (reference, 2)."""
    changes = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not None}
    if before.hints or given.hints is not None:
        changes |= {"language_hints": given.hints or [], "language_hint": None}
    return msgspec.structs.replace(before, **changes)
