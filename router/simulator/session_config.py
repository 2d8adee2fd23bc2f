"""The session object: its defaults, and the merge of a `session.update` into it.

The whole update is checked before any field is applied. Pure: each merge returns a new dict.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from router.simulator.errors import RequestError

DEFAULT_INSTRUCTIONS: Final = (
    "You are a friendly voice assistant that runs on this machine, without a model: you answer about what was "
    "said, remember the conversation, and call a function whenever one fits the question."
)
"""The `instructions` until an update sets others. An update with `instructions: ""` restores them."""

_SERVER_VAD: Final = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD: Final = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
_TURN_DETECTION: Final = {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD}
_TRANSCRIPTION: Final = {"model": "whisper-1", "language": None, "prompt": None}
_PCM: Final = {"type": "audio/pcm", "rate": 24000}

_FIRST_GENERATION: Final = {"voice": "alloy", "silence_duration_ms": 200}
_LATER_GENERATION: Final = {"voice": "marin", "silence_duration_ms": 500}

_SECRETS: Final = frozenset({"authorization", "headers"})
"""Fields of an MCP tool that hold credentials. The session accepts these fields, but echoes none of them."""


def default_session(model: str, session_id: str, expires_at_s: int) -> dict[str, Any]:
    """Return the session as `session.created` shows it."""
    defaults = _LATER_GENERATION if is_reasoning_model(model) else _FIRST_GENERATION
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": DEFAULT_INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": expires_at_s,
        "audio": {
            "input": {
                "format": dict(_PCM),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {**_SERVER_VAD, "silence_duration_ms": defaults["silence_duration_ms"]},
            },
            "output": {"format": dict(_PCM), "voice": defaults["voice"], "speed": 1.0},
        },
        "include": None,
    }


def is_reasoning_model(model: str) -> bool:
    """Whether a model belongs to the gpt-realtime-2 family, which accepts `reasoning` and `parallel_tool_calls`."""
    return model.startswith("gpt-realtime-2") and not model.startswith("gpt-realtime-2025")


def updated_session(
    session: dict[str, Any], update: dict[str, Any], *, has_spoken: bool, is_responding: bool
) -> dict[str, Any]:
    """Merge `update` into a copy of `session`; raises `RequestError` if one of its fields may not change now.

    Args:
        session: the effective session.
        update: the `session` of a `session.update` that the schema has passed.
        has_spoken: whether the conversation holds assistant audio, which locks the voice.
        is_responding: whether a response is active, during which the speed may not change.
    """
    _refuse_changes(session, update, has_spoken=has_spoken, is_responding=is_responding)
    merged = copy.deepcopy(session)
    for key, value in update.items():
        if key == "audio":
            _merge_input(merged["audio"]["input"], value.get("input", {}))
            _merge_output(merged["audio"]["output"], value.get("output", {}))
        else:
            merged[key] = _MERGE.get(key, copy.deepcopy)(value)
    return merged


def without_secrets(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tools without credentials, so that the session can echo them, in the service's order of keys."""
    return [
        {key: tool[key] for key in (*_TOOL_ORDER, *(set(tool) - set(_TOOL_ORDER) - _SECRETS)) if key in tool}
        for tool in tools
    ]


_TOOL_ORDER: Final = ("type", "name", "description", "parameters")

_MERGE: Final[dict[str, Any]] = {
    "tools": without_secrets,
    "instructions": lambda instructions: instructions or DEFAULT_INSTRUCTIONS,
}


def _refuse_changes(session: dict[str, Any], update: dict[str, Any], *, has_spoken: bool, is_responding: bool) -> None:
    output = update.get("audio", {}).get("output", {})
    check_voice(session, output, "session", has_spoken=has_spoken)
    if (
        is_responding
        and output.get("speed", session["audio"]["output"]["speed"]) != session["audio"]["output"]["speed"]
    ):
        message = "Cannot update the speed of speech while a response is in progress."
        raise RequestError("invalid_value", message, "session.audio.output.speed")
    if update.get("model", session["model"]) != session["model"]:
        raise RequestError("invalid_value", "Cannot update the model of a session.", "session.model")
    if session["tracing"] is not None and update.get("tracing", session["tracing"]) != session["tracing"]:
        message = "Cannot update tracing once it is enabled for a session."
        raise RequestError("invalid_value", message, "session.tracing")
    check_reasoning(session, update, "session")


def check_voice(session: dict[str, Any], output: dict[str, Any], path: str, *, has_spoken: bool) -> None:
    """Raise a `RequestError` for another voice if the conversation holds assistant audio already (`has_spoken`)."""
    if has_spoken and output.get("voice", session["audio"]["output"]["voice"]) != session["audio"]["output"]["voice"]:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise RequestError("cannot_update_voice", message, f"{path}.audio.output.voice")


def check_reasoning(session: dict[str, Any], update: dict[str, Any], path: str) -> None:
    """Raise a `RequestError` for fields that only the gpt-realtime-2 family accepts, if the model is another."""
    for key in ("reasoning", "parallel_tool_calls"):
        if key in update and not is_reasoning_model(session["model"]):
            message = f"Unsupported parameter: '{path}.{key}' is not supported with this model."
            raise RequestError("unsupported_parameter", message, f"{path}.{key}")


def _merge_input(current: dict[str, Any], update: dict[str, Any]) -> None:
    for key, value in update.items():
        if key == "turn_detection" and value is not None:
            current[key] = _merged(current[key], value, _TURN_DETECTION[value["type"]])
        elif key == "transcription" and value is not None:
            current[key] = {**(current[key] or _TRANSCRIPTION), **value}
        else:
            current[key] = _with_rate(value) if key == "format" else copy.deepcopy(value)


def _merge_output(current: dict[str, Any], update: dict[str, Any]) -> None:
    for key, value in update.items():
        current[key] = _with_rate(value) if key == "format" else value


def _merged(current: dict[str, Any] | None, update: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    is_same_kind = current is not None and current["type"] == update["type"]
    return {**(current if is_same_kind and current else defaults), **update}


def _with_rate(audio_format: dict[str, Any]) -> dict[str, Any]:
    return {**_PCM, **audio_format} if audio_format["type"] == "audio/pcm" else dict(audio_format)
