"""`agent.listen` to `audio.input`: the transcription of the user's speech, and the end of a turn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.deepgram import blocks

TurnDetection = Literal["server_vad", "semantic_vad", "manual"]

CLIENT_CONTROLLED: Final = "client"
"""The mode of a session whose client ends turns, or requests responses, with OpenAI's own events."""

_TURN_DETECTION: Final[dict[str, dict[str, Any] | None]] = {
    # Every field is explicit: the defaults differ between models (upstream 4.5).
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
"""The most patient first, with how long each waits at most, in ms (upstream 4.6)."""

# Deepgram's threshold is a confidence and OpenAI's eagerness one of three words: docs/decisions/0006 draws the lines.
_PATIENT_THRESHOLD: Final = 0.85
_HASTY_THRESHOLD: Final = 0.6


def detection_mode(agent: blocks.Agent, default: TurnDetection) -> TurnDetection:
    """Return how a turn ends.

    The client's `turn_detection` comes first. A threshold or a time-out for the end of a turn turns the default
    `server_vad` into `semantic_vad`. Like Deepgram's, that judges whether the user has finished.
    """
    if agent.turn_detection is not None:
        return agent.turn_detection
    provider = agent.listen.provider
    is_judged = provider.eot_threshold is not None or provider.eot_timeout_ms is not None
    return "semantic_vad" if is_judged and default == "server_vad" else default


def passthrough_detection(session: Any, before: str) -> str:
    """Return how a turn ends after a client's own `session.update`.

    The client controls turns where the upstream does not both create and interrupt responses by itself.
    """
    audio_input = session.get("audio") if isinstance(session, dict) else None
    audio_input = audio_input.get("input") if isinstance(audio_input, dict) else None
    if not isinstance(audio_input, dict) or "turn_detection" not in audio_input:
        return before
    given = audio_input["turn_detection"]
    if not isinstance(given, dict) or False in (given.get("create_response"), given.get("interrupt_response")):
        return CLIENT_CONTROLLED
    kind = given.get("type", before)
    return kind if isinstance(kind, str) and kind in _TURN_DETECTION else before


def turn_detection(provider: blocks.ListenProvider, mode: TurnDetection) -> dict[str, Any] | None:
    """Return the `turn_detection` of a mode."""
    detection = _TURN_DETECTION[mode]
    if detection is None or mode != "semantic_vad":
        return detection
    return {**detection, "eagerness": _eagerness(provider)}


def _eagerness(provider: blocks.ListenProvider) -> str:
    """Choose by the threshold, and then the most patient one that waits no longer than the time-out."""
    threshold, max_ms = provider.eot_threshold, provider.eot_timeout_ms
    first = 1
    if threshold is not None:
        first = 0 if threshold >= _PATIENT_THRESHOLD else 2 if threshold <= _HASTY_THRESHOLD else 1
    fitting = (name for name, waits_ms in _EAGERNESS[first:] if max_ms is None or waits_ms <= max_ms)
    return next(fitting, "high")


# Transcription. Models take different fields (upstream 4.8); one that we do not know gets its language alone.


def transcription(agent: blocks.Agent, model: str) -> dict[str, Any]:
    """Return the `transcription` that the listen block asks for."""
    provider = agent.listen.provider
    hints = [code for code in map(language_code, provider.hints or []) if code]
    code = language_code(provider.language or agent.language)
    fields: dict[str, Any] = {"model": model}
    if provider.hints is not None and model.startswith(_SEVERAL_LANGUAGES):
        fields["languages"] = hints
    elif provider.language is None and len(hints) == 1:
        # The other models take one language: a single hint is as good as that, several are not.
        fields["language"] = hints[0]
    elif code is not None:
        fields["language"] = code
    if provider.keyterms is not None:
        fields.update(_with_key_terms(model, provider.keyterms))
    return fields


def language_code(language: str | None) -> str | None:
    """Return the ISO 639-1 code of a language tag, or None where it has none, as `multi` has."""
    code = re.match(r"([a-z]{2})(?:-|$)", language or "")
    return code[1] if code else None


_SEVERAL_LANGUAGES: Final = ("gpt-transcribe", "gpt-live-transcribe")


def _with_key_terms(model: str, terms: list[str]) -> dict[str, Any]:
    fields_of = next((fields_of for prefix, fields_of in _KEY_TERMS if model.startswith(prefix)), None)
    return fields_of(terms) if fields_of is not None else {}


_KEY_TERMS: Final[tuple[tuple[str, Callable[[list[str]], dict[str, Any]] | None], ...]] = (
    # By the beginning of the model's name, the longer before the shorter.
    ("gpt-4o-transcribe-diarize", None),
    ("gpt-4o-transcribe", lambda terms: {"prompt": f"Expect these words: {', '.join(terms)}." if terms else ""}),
    ("gpt-4o-mini-transcribe", lambda terms: {"prompt": f"Expect these words: {', '.join(terms)}." if terms else ""}),
    ("whisper-1", lambda terms: {"prompt": ", ".join(terms)}),
    ("gpt-transcribe", lambda terms: {"keywords": terms}),
    ("gpt-live-transcribe", lambda terms: {"keywords": terms}),
)
"""The fields for a list of expected words; None where the model takes no such list."""


def updated(before: blocks.ListenProvider, given: blocks.ListenProvider) -> blocks.ListenProvider:
    """Return `before` after an UpdateListen: omitted fields stay, but for `language_hints` (client 3.2)."""
    changes = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not None}
    if before.hints or given.hints is not None:
        # Under the newer name alone: an older `language_hint` of `before` would count again otherwise.
        changes |= {"language_hints": given.hints or [], "language_hint": None}
    return msgspec.structs.replace(before, **changes)
