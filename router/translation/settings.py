"""Settings to `session.update`, context to items, the choice of a model."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from router.audio.formats import INPUT_RATES, UPSTREAM_RATE
from router.deepgram import blocks
from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.translation import text

TurnDetection = Literal["server_vad", "semantic_vad", "manual"]

OPENAI_VOICES: Final = frozenset(
    {"alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"}
)

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

_PCM: Final = {"type": "audio/pcm", "rate": UPSTREAM_RATE}


class InvalidSettings(msgspec.Struct, frozen=True):
    """Settings that are well formed, and cannot be obeyed. `code` is Deepgram's."""

    code: str
    description: str


def first_think(agent: blocks.Agent) -> blocks.Think:
    """The think block that counts."""
    if isinstance(agent.think, list):
        return agent.think[0] if agent.think else blocks.Think()
    return agent.think


def first_speak(agent: blocks.Agent) -> blocks.Speak:
    """The speak block that counts."""
    if isinstance(agent.speak, list):
        return agent.speak[0] if agent.speak else blocks.Speak()
    return agent.speak


def find_fault(settings: deepgram.Settings) -> InvalidSettings | None:
    """What keeps us from obeying these Settings, or None."""
    if isinstance(settings.agent, str):
        return InvalidSettings("AGENT_ID_NOT_SUPPORTED", "`agent` is an id: this server stores no agents")
    return _find_audio_fault(settings.audio)


def _find_audio_fault(audio: deepgram.Audio) -> InvalidSettings | None:
    checks = (
        ("audio.input.encoding", audio.input.encoding, ("linear16",)),
        ("audio.input.sample_rate", audio.input.sample_rate or UPSTREAM_RATE, INPUT_RATES),
        ("audio.output.encoding", audio.output.encoding, ("linear16",)),
        ("audio.output.sample_rate", audio.output.sample_rate or UPSTREAM_RATE, (UPSTREAM_RATE,)),
        ("audio.output.container", audio.output.container or "none", ("none", "wav")),
    )
    for field, value, allowed in checks:
        if value not in allowed:
            choices = ", ".join(map(str, allowed))
            return InvalidSettings("INVALID_SETTINGS", f"`{field}` is {value}: it may be {choices}")
    return None


def choose_model(asked: str | None, *, default: str, allowed: tuple[str, ...], fixed: str | None) -> str:
    """The model to use: the one in the configured URL, else the client's where it is allowed, else the default."""
    if fixed is not None:
        return fixed
    return asked if asked is not None and asked in allowed else default


def session_of(
    settings: deepgram.Settings, *, turn_detection: TurnDetection, voice: str, transcription_model: str
) -> dict[str, Any]:
    """The `session` of the one `session.update` that these Settings become. They must be faultless."""
    assert isinstance(settings.agent, blocks.Agent)  # noqa: S101 - find_fault said so
    agent = settings.agent
    think = first_think(agent)
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": think.outputModalities if _is_modality(think.outputModalities) else ["audio"],
        "audio": {
            "input": {
                "format": _PCM,
                "transcription": _transcription(transcription_model, agent),
                "turn_detection": _TURN_DETECTION[turn_detection],
            },
            "output": {"format": _PCM, "voice": _voice(agent, voice)},
        },
        "tools": [_tool(function) for function in think.functions or [] if function.endpoint is None],
    }
    session.update(_given(think))
    return session


def _is_modality(modalities: list[str] | None) -> bool:
    # Exactly one: both together are refused (reference, 2.1).
    return modalities in (["audio"], ["text"])


def _given(think: blocks.Think) -> dict[str, Any]:
    fields = {
        "instructions": think.prompt,
        "tool_choice": think.toolChoice,
        "max_output_tokens": think.maxOutputTokens,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _transcription(model: str, agent: blocks.Agent) -> dict[str, Any]:
    language = agent.listen.provider.language or agent.language or ""
    code = re.match(r"([a-z]{2})(?:-|$)", language)
    return {"model": model, "language": code[1]} if code else {"model": model}


def _voice(agent: blocks.Agent, default: str) -> str:
    provider = first_speak(agent).provider
    asked = provider.voice
    return asked if provider.type == "open_ai" and asked in OPENAI_VOICES else default


def _tool(function: blocks.Function) -> dict[str, Any]:
    tool: dict[str, Any] = {"type": "function", "name": function.name}
    if function.description is not None:
        tool["description"] = function.description
    tool["parameters"] = function.parameters or {"type": "object", "properties": {}}
    return tool


def context_items(context: blocks.Context | None, new_id: text.NewId) -> list[openai.NewItem]:
    """One item per message of the context; two per function call: the call, and its output."""
    items: list[openai.NewItem] = []
    for message in (context.messages if context is not None else None) or []:
        items.extend(_items_of(message, new_id))
    return items


def _items_of(message: blocks.ContextMessage, new_id: text.NewId) -> list[openai.NewItem]:
    if message.function_calls:
        return [item for call in message.function_calls for item in _call_items(call, new_id)]
    if message.role is None or not message.content:
        return []
    return [text.message_item(new_id(), message.role, message.content)]


def _call_items(call: blocks.FunctionCallRecord, new_id: text.NewId) -> list[openai.NewItem]:
    call_id = call.id[:32]  # the API's limit (reference, 6)
    return [
        openai.FunctionCallItem(id=new_id(), call_id=call_id, name=call.name, arguments=call.arguments),
        openai.FunctionCallOutputItem(id=new_id(), call_id=call_id, output=call.response),
    ]


def merged(session: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`session` after a partial update: nested objects merge, lists are replaced whole (reference, 2.1)."""
    result = dict(session)
    for key, value in changes.items():
        before = result.get(key)
        is_nested = isinstance(before, dict) and isinstance(value, dict)
        result[key] = merged(before, value) if is_nested else value  # type: ignore[arg-type] # both are, then
    return result
