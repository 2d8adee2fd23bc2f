"""Settings to `session.update`, and the context to items."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.deepgram import blocks
from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.translation import functions, listening, offered_tools, text, validation
from router.translation.formats import validate_formats, wire_format
from router.translation.listening import DEFAULT_TUNING
from router.translation.voices import voice_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.config.model import Tuning
    from router.translation.formats import Formats
    from router.translation.listening import TurnDetection
    from router.translation.voices import Voices


class InvalidSettings(msgspec.Struct, frozen=True):
    """The reason why well-formed Settings cannot be obeyed: a code of Deepgram's, and a sentence for the client."""

    code: str
    description: str


def first_think(agent: blocks.Agent) -> blocks.Think:
    """Return the think block that is in use. If there are several, it is the first, and the others are fallbacks."""
    if isinstance(agent.think, list):
        return agent.think[0] if agent.think else blocks.Think()
    return agent.think


def first_speak(agent: blocks.Agent) -> blocks.Speak:
    """Return the speak block that is in use. If there are several, it is the first, and the others are fallbacks."""
    if isinstance(agent.speak, list):
        return agent.speak[0] if agent.speak else blocks.Speak()
    return agent.speak


def validate_settings(settings: deepgram.Settings) -> InvalidSettings | None:
    """Return the reason why the router cannot obey these Settings, or None."""
    if isinstance(settings.agent, str):
        return InvalidSettings("AGENT_ID_NOT_SUPPORTED", "`agent` is an id: this server stores no agents")
    return invalid_settings(validate_formats(settings.audio) or validation.validate_agent(settings.agent))


def invalid_settings(problem: str | None) -> InvalidSettings | None:
    """Return `problem` with its code, or None if there is no problem."""
    return InvalidSettings("INVALID_SETTINGS", problem) if problem is not None else None


def choose_think(agent: blocks.Agent, is_available: Callable[[str], bool]) -> blocks.Agent:
    """Return `agent` with one think block: the first block whose model is available, or else the first block."""
    if not isinstance(agent.think, list):
        return agent
    fitting = (think for think in agent.think if think.provider.model is None or is_available(think.provider.model))
    return msgspec.structs.replace(agent, think=next(fitting, first_think(agent)))


def passthrough_agent(session: Any) -> blocks.Agent:
    """Return the agent of a client's own `session.update`.

    A later message of the client may add to the instructions of this agent.
    """
    given = session if isinstance(session, dict) else {}
    instructions, modalities = given.get("instructions"), given.get("output_modalities")
    prompt = instructions if isinstance(instructions, str) else None
    return blocks.Agent(think=blocks.Think(prompt=prompt, outputModalities=modalities))


def session_of(
    settings: deepgram.Settings,
    *,
    turn_detection: TurnDetection,
    formats: Formats,
    voices: Voices,
    transcription_model: str,
    model: str,
    server_functions: Sequence[blocks.Function] = (),
    tuning: Tuning = DEFAULT_TUNING,
) -> dict[str, Any]:
    """Return the `session` of the `session.update` that these Settings become.

    The Settings must have passed `validate_settings`.
    """
    assert isinstance(settings.agent, blocks.Agent)  # noqa: S101 - validate_settings refuses an id
    agent = settings.agent
    return {
        "type": "realtime",
        "audio": {
            "input": {
                "format": wire_format(formats.input),
                # Both are explicit, because by default the service detects turns, and transcribes nothing (upstream
                # 1.4).
                "transcription": listening.transcription(agent, transcription_model),
                "turn_detection": turn_detection_of(agent, turn_detection, tuning),
                **_noise_reduction(tuning),
            },
            "output": {"format": wire_format(formats.output), **speech_of(agent, voices, tuning)},
        },
        **thinking_of(first_think(agent), model, server_functions, tuning),
    }


def turn_detection_of(agent: blocks.Agent, mode: TurnDetection, tuning: Tuning) -> dict[str, Any] | None:
    """Return the `turn_detection` for an agent in a mode; None in the mode `manual`."""
    return listening.turn_detection(agent.listen.provider, mode, tuning, idle_ms=agent.idleTimeoutMs)


def _noise_reduction(tuning: Tuning) -> dict[str, Any]:
    # Sent only if the operator chooses a filter, because a compatible service may not know the field.
    return {"noise_reduction": {"type": tuning.noise_reduction}} if tuning.noise_reduction != "off" else {}


def thinking_of(
    think: blocks.Think,
    model: str,
    server_functions: Sequence[blocks.Function] = (),
    tuning: Tuning = DEFAULT_TUNING,
) -> dict[str, Any]:
    """Return the fields of `session` that follow from a think block."""
    fields = {
        "output_modalities": think.outputModalities if _is_modality(think.outputModalities) else ["audio"],
        "instructions": think.prompt,
        "tools": [offered_tools.tool(function) for function in (*server_functions, *(think.functions or ()))],
        "tool_choice": think.toolChoice,
        "max_output_tokens": think.maxOutputTokens or tuning.max_output_tokens or None,
        "reasoning": _reasoning(think.provider.reasoning_mode, model),
        "truncation": _truncation(think.context_length, tuning.retention_ratio),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _is_modality(modalities: list[str] | None) -> bool:
    # Exactly one modality, because the API refuses both together (upstream 2.5).
    return modalities in (["audio"], ["text"])


def _reasoning(mode: str | None, model: str) -> dict[str, Any] | None:
    # Other model families refuse an update with this field (upstream 2.6), and none of them reasons.
    if mode is None or not _REASONING.match(model):
        return None
    # Deepgram's `none` has no counterpart: the API's least effort is `minimal`.
    return {"effort": "minimal" if mode == "none" else mode}


_REASONING: Final = re.compile(r"gpt-realtime-2(?!\d)")
"""The names of the gpt-realtime-2 family.

Dated models of the first family do not match, such as gpt-realtime-2025-08-28.
"""


def _truncation(context_length: float | str | None, ratio: float) -> dict[str, Any] | None:
    truncation = {"type": "retention_ratio", "retention_ratio": ratio or _RETENTION_RATIO}
    if isinstance(context_length, int | float):
        tokens = max(1, int(context_length) // CHARACTERS_PER_TOKEN)
        return {**truncation, "token_limits": {"post_instructions": tokens}}
    return truncation if ratio else None


CHARACTERS_PER_TOKEN: Final = 4
"""The number of characters in a token, roughly, in English."""

_RETENTION_RATIO: Final = 0.8
"""The fraction of a full context that the upstream keeps.

With this fraction a cut is large and rare. A small cut would come at every turn.
"""


def speech_of(agent: blocks.Agent, voices: Voices, tuning: Tuning = DEFAULT_TUNING) -> dict[str, Any]:
    """Return the fields `voice` and `speed` of `audio.output`.

    The values of the client's `sessionAudioOutput` precede those of the speak block.
    """
    given = agent.sessionAudioOutput or {}
    fields = {
        "voice": given.get("voice") or voice_of(agent.speak, voices),
        "speed": given.get("speed") or first_speak(agent).provider.speed or _chosen_speed(tuning),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _chosen_speed(tuning: Tuning) -> float | None:
    return tuning.speed if tuning.speed != DEFAULT_TUNING.speed else None


def context_items(agent: blocks.Agent, new_id: text.NewId, *, shows_calls: bool) -> list[openai.NewItem]:
    """Return one item per text of the context, and two per function call: the call, and its output.

    With `shows_calls`, leave out texts of the assistant that only showed a call to the client. The model never said
    them.
    """
    items: list[openai.NewItem] = []
    for message in _context_of(agent):
        if not (shows_calls and message.role == "assistant" and functions.is_call_text(message.content or "")):
            items.extend(_items_of(message, new_id))
    return items


def has_context(agent: blocks.Agent) -> bool:
    """Whether the client continues an earlier conversation."""
    return any(message.function_calls or (message.role and message.content) for message in _context_of(agent))


def _context_of(agent: blocks.Agent) -> list[blocks.ContextMessage]:
    return (agent.context.messages if agent.context is not None else agent.messages) or []


def _items_of(message: blocks.ContextMessage, new_id: text.NewId) -> list[openai.NewItem]:
    if message.function_calls:
        return [item for call in message.function_calls for item in _call_items(call, new_id)]
    if message.role is None or not message.content:
        return []
    return [text.message_item(new_id(), message.role, message.content)]


def _call_items(call: blocks.FunctionCallRecord, new_id: text.NewId) -> list[openai.NewItem]:
    call_id = call.id[:32]  # the API's limit (upstream 11.1)
    return [
        openai.FunctionCallItem(id=new_id(), call_id=call_id, name=call.name, arguments=call.arguments),
        openai.FunctionCallOutputItem(id=new_id(), call_id=call_id, output=call.response),
    ]


_UNSET: Final = {
    # The service replaces an empty prompt by its default prompt (upstream 2.7).
    "instructions": "",
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "truncation": "auto",
    "speed": 1.0,
}
"""The values that unset a field. An update without the field would keep it.

A field that is not listed cannot be unset.
"""


def replaced(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the update that replaces `before` by `after`.

    A field of `_UNSET` that is only in `before` gets the value that unsets it. An update without the field would keep
    its old value.
    """
    return {**{name: value for name, value in _UNSET.items() if name in before}, **after}


def merged(session: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `session` after a partial update.

    Nested objects are merged, and lists are replaced as a whole (upstream 2.1).
    """
    result = dict(session)
    for key, value in changes.items():
        before = result.get(key)
        # An object of another `type`, such as turn detection, replaces the old one, because their fields differ.
        is_nested = isinstance(before, dict) and isinstance(value, dict) and _is_same_kind(before, value)
        result[key] = merged(before, value) if is_nested else value  # type: ignore[arg-type] # both are, then
    return result


def _is_same_kind(before: dict[str, Any], value: dict[str, Any]) -> bool:
    return value.get("type") in (None, before.get("type"))
