"""`agent.listen` to `audio.input`: the transcription of the user's speech, and the end of a turn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from router.config.model import Tuning

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.deepgram import blocks

DEFAULT_TUNING: Final = Tuning()

TurnDetection = Literal["server_vad", "semantic_vad", "manual", "listen"]
"""`listen` is `server_vad` without answers, for a session that only transcribes.

A client or an operator cannot choose it.
"""


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """The detection of the user's turns: how a turn ends, and whether the upstream answers a turn by itself."""

    detector: str | None = "server_vad"
    """The type of the upstream's detector.

    Without a detector the session commits if `is_manual` is true, and otherwise the client commits.
    """
    creates_response: bool = True
    """Whether the upstream answers each detected turn by itself."""
    interrupts_response: bool = True
    """Whether the upstream cancels its active response when it detects speech."""
    is_manual: bool = False
    """Whether the session commits after a pause of the microphone, and requests the response."""

    @property
    def is_on(self) -> bool:
        """Whether the upstream detects the user's speech."""
        return self.detector is not None

    @property
    def owes_answers(self) -> bool:
        """Whether each detected turn must get an answer from the upstream."""
        return self.is_on and self.creates_response

    @property
    def interrupts(self) -> bool:
        """Whether detected speech interrupts the agent."""
        return self.is_on and self.interrupts_response


_EAGERNESS: Final = (("low", 8000), ("auto", 4000), ("high", 2000))
"""The values of eagerness, each with its longest wait in ms (upstream 4.6). The most patient value is first."""

# Deepgram's threshold is a confidence, and OpenAI's eagerness is one of three words. docs/decisions/0006 explains the
# borders.
_PATIENT_THRESHOLD: Final = 0.85
_HASTY_THRESHOLD: Final = 0.6


def detection_mode(agent: blocks.Agent, default: TurnDetection) -> TurnDetection:
    """Return how a turn ends.

    The client's `turn_detection` takes precedence. If the client gives a threshold or a time-out for the end of a turn,
    `semantic_vad` replaces the default `server_vad`. Like Deepgram's detector, `semantic_vad` judges whether the user
    has finished.
    """
    if agent.turn_detection is not None:
        return agent.turn_detection
    provider = agent.listen.provider
    is_judged = provider.eot_threshold is not None or provider.eot_timeout_ms is not None
    return "semantic_vad" if is_judged and default == "server_vad" else default


def detection_of(mode: TurnDetection) -> Detection:
    """Return the detection for a mode that the session chooses."""
    if mode == "listen":
        return Detection(creates_response=False, interrupts_response=False)
    return Detection(detector=None, is_manual=True) if mode == "manual" else Detection(detector=mode)


def detection_after(session: Any, before: Detection) -> Detection:
    """Return the detection after a client's own `session.update`.

    Without `turn_detection` in `session` the detection is unchanged.
    """
    audio_input = _audio_input(session)
    if "turn_detection" not in audio_input:
        return before
    given = audio_input["turn_detection"]
    if not isinstance(given, dict):
        return Detection(detector=None)
    detector = given.get("type", before.detector)
    # An update with another `type` replaces all fields. One with the same `type` is merged (upstream 2.1).
    kept = before if detector == before.detector else Detection()
    return Detection(
        detector=detector if isinstance(detector, str) else Detection().detector,
        creates_response=given.get("create_response", kept.creates_response) is not False,
        interrupts_response=given.get("interrupt_response", kept.interrupts_response) is not False,
    )


def transcribes_after(session: Any, *, before: bool) -> bool:
    """Return whether the user's speech is transcribed after a client's own `session.update`.

    Without `transcription` in `session` the value stays as it was `before`.
    """
    audio_input = _audio_input(session)
    return isinstance(audio_input["transcription"], dict) if "transcription" in audio_input else before


def _audio_input(session: Any) -> dict[str, Any]:
    audio = session.get("audio") if isinstance(session, dict) else None
    audio_input = audio.get("input") if isinstance(audio, dict) else None
    return audio_input if isinstance(audio_input, dict) else {}


def turn_detection(
    provider: blocks.ListenProvider,
    mode: TurnDetection,
    tuning: Tuning = DEFAULT_TUNING,
    *,
    idle_ms: float | None = None,
) -> dict[str, Any] | None:
    """Return the `turn_detection` of a mode; None for `manual`, because the session commits by hand.

    With `server_vad` the upstream's agent addresses the user after `idle_ms` of silence. The values None and 0 prevent
    that.
    """
    if mode == "manual":
        return None
    # Every field is explicit, because the defaults differ between models (upstream 4.5).
    responses = {"create_response": mode != "listen", "interrupt_response": mode != "listen"}
    if mode == "semantic_vad":
        return {"type": mode, "eagerness": _eagerness(provider, tuning.vad_eagerness), **responses}
    return {
        "type": "server_vad",
        "threshold": tuning.vad_threshold,
        "prefix_padding_ms": tuning.vad_prefix_ms,
        "silence_duration_ms": tuning.vad_silence_ms,
        **_idle_timeout(idle_ms if mode != "listen" else None),
        **responses,
    }


_IDLE_TIMEOUT_MS: Final = (5000, 30_000)
"""The bounds of `idle_timeout_ms`, which only `server_vad` has (upstream 4.9)."""


def _idle_timeout(given_ms: float | None) -> dict[str, int]:
    """Return the field that makes the upstream's agent address a silent user. For None or 0 return no field."""
    if given_ms is None or not given_ms > 0:
        return {}
    shortest, longest = _IDLE_TIMEOUT_MS
    return {"idle_timeout_ms": int(min(max(given_ms, shortest), longest))}


def _eagerness(provider: blocks.ListenProvider, default: str) -> str:
    """Return the eagerness for the client's threshold, or `default` without a threshold.

    If that eagerness waits longer than the client's time-out, return the next value whose wait is short enough, or
    `high`.
    """
    threshold, max_ms = provider.eot_threshold, provider.eot_timeout_ms
    names = [name for name, _ in _EAGERNESS]
    first = names.index(default)
    if threshold is not None:
        first = 0 if threshold >= _PATIENT_THRESHOLD else 2 if threshold <= _HASTY_THRESHOLD else 1
    fitting = (name for name, waits_ms in _EAGERNESS[first:] if max_ms is None or waits_ms <= max_ms)
    return next(fitting, "high")


# Transcription. Models take different fields (upstream 4.8). An unknown model gets only the language.


def transcription(agent: blocks.Agent, model: str) -> dict[str, Any]:
    """Return the `transcription` that the listen block requests."""
    provider = agent.listen.provider
    hints = [code for code in map(language_code, provider.hints or []) if code]
    code = language_code(provider.language or agent.language)
    fields: dict[str, Any] = {"model": model}
    if provider.hints is not None and model.startswith(_SEVERAL_LANGUAGES):
        fields["languages"] = hints
    elif provider.language is None and len(hints) == 1:
        # The other models take only one language, so a single hint serves as the language, and several hints do not.
        fields["language"] = hints[0]
    elif code is not None:
        fields["language"] = code
    if provider.keyterms is not None:
        fields.update(_with_key_terms(model, provider.keyterms))
    return fields


def untaken(provider: blocks.ListenProvider, model: str) -> str | None:
    """Return a sentence about the key terms and language hints that the model does not take, or None."""
    takes_terms = any(fields_of and model.startswith(prefix) for prefix, fields_of in _KEY_TERMS)
    found = []
    if provider.keyterms and (not takes_terms or not _with_key_terms(model, provider.keyterms)):
        found.append("`keyterms`")
    if len(provider.hints or ()) > 1 and not model.startswith(_SEVERAL_LANGUAGES):
        found.append("more than one of `language_hints`")
    return f"the transcription model {model} takes no {', and not '.join(found)}: ignored" if found else None


def language_code(language: str | None) -> str | None:
    """Return the ISO 639-1 code of a language tag, or None for a tag without such a code, such as `multi`."""
    code = re.match(r"([a-z]{2})(?:-|$)", language or "")
    return code[1] if code else None


_SEVERAL_LANGUAGES: Final = ("gpt-transcribe", "gpt-live-transcribe")


def _with_key_terms(model: str, terms: list[str]) -> dict[str, Any]:
    fields_of = next((fields_of for prefix, fields_of in _KEY_TERMS if model.startswith(prefix)), None)
    return fields_of(terms) if fields_of is not None else {}


_KEY_TERMS: Final[tuple[tuple[str, Callable[[list[str]], dict[str, Any]] | None], ...]] = (
    # The keys are beginnings of model names. A longer one precedes a shorter one.
    ("gpt-4o-transcribe-diarize", None),
    ("gpt-4o-transcribe", lambda terms: {"prompt": f"Expect these words: {', '.join(terms)}." if terms else ""}),
    ("gpt-4o-mini-transcribe", lambda terms: {"prompt": f"Expect these words: {', '.join(terms)}." if terms else ""}),
    ("whisper-1", lambda terms: {"prompt": ", ".join(terms)}),
    ("gpt-transcribe", lambda terms: {"keywords": terms}),
    ("gpt-live-transcribe", lambda terms: {"keywords": terms}),
)
"""The field for a list of expected words, by model. The value None stands for a model that takes no such list."""


def updated(before: blocks.ListenProvider, given: blocks.ListenProvider) -> blocks.ListenProvider:
    """Return `before` after an UpdateListen. Omitted fields stay, except `language_hints` (client 3.2)."""
    changes = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not None}
    if before.hints or given.hints is not None:
        # Use only the newer name. Otherwise an older `language_hint` of `before` would apply again.
        changes |= {"language_hints": given.hints or [], "language_hint": None}
    return msgspec.structs.replace(before, **changes)
