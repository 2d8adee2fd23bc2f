"""The table of a policy: each field, and its places in the messages of either wire.

A forced value is set at the first place of a wire. The values at the other places are removed, because these are older
names, or other fields with the same effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.policy import values

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.policy.paths import Path
    from router.policy.rules import Kind

_ANY: Final[tuple[Kind, ...]] = ("force", "allow", "prefix", "deny")
_NO_FORCE: Final[tuple[Kind, ...]] = ("allow", "prefix", "deny")


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table."""

    name: str
    session: tuple[Path, ...] = ()
    """Places in the `session` of OpenAI's `session.update`."""
    response: tuple[Path, ...] = ()
    """Places in the `response` of OpenAI's `response.create`."""
    agent: tuple[Path, ...] = ()
    """Places in Deepgram's Settings. An `Update…` message has the same places without the leading `agent`."""
    beside: tuple[Path, ...] = ()
    """Further places in Settings. A forced value removes them, `deny` refuses them, and no other rule compares them."""
    message: tuple[Path, ...] = ()
    """Places in other messages of Deepgram's; the first part is the type of the message."""
    names: Callable[[Any], list[Any]] = values.itself
    """A function that takes a value in the wire's form, and returns the values that a rule compares."""
    to_openai: Callable[[Any], Any] = values.unchanged
    """A function that takes a forced value, and returns it in the form of OpenAI's wire."""
    to_deepgram: Callable[[Any], Any] = values.unchanged
    is_text: bool = False
    """Whether the rule `prefix` puts its text before the client's text."""
    is_enforced: bool = True
    """Whether the router also sets a forced value in each `session.update` that it makes of Deepgram's messages."""
    kinds: tuple[Kind, ...] = _ANY


def _think(*path: str) -> Path:
    return ("agent", "think", *path)


def _speak(*path: str) -> Path:
    return ("agent", "speak", "provider", *path)


def _listen(*path: str) -> Path:
    return ("agent", "listen", "provider", *path)


_ROWS: Final = (
    Field(name="model", session=(("model",),), agent=(_think("provider", "model"),), is_enforced=False),
    Field(
        name="instructions",
        session=(("instructions",), ("prompt",)),
        response=(("instructions",), ("prompt",)),
        agent=(_think("prompt"), _think("managedPrompt")),
        message=(("UpdatePrompt", "prompt"),),
        # The name of a stored prompt is its id.
        names=values.by_key("id"),
        is_text=True,
    ),
    Field(
        name="response_instructions",
        response=(("instructions",), ("prompt",)),
        names=values.by_key("id"),
        is_text=True,
    ),
    Field(
        name="voice",
        session=(("audio", "output", "voice"), ("voice",)),
        response=(("audio", "output", "voice"), ("voice",)),
        agent=(_speak("model"), _speak("voice"), _speak("model_id"), ("agent", "sessionAudioOutput", "voice")),
        names=values.by_key("id"),
    ),
    Field(
        name="speed",
        session=(("audio", "output", "speed"), ("speed",)),
        response=(("audio", "output", "speed"), ("speed",)),
        agent=(_speak("speed"), ("agent", "sessionAudioOutput", "speed")),
    ),
    # Lists of tools have their own rules, in `router.policy.tools`.
    Field(name="tools", is_enforced=False),
    Field(name="response_tools", is_enforced=False),
    Field(name="mcp", is_enforced=False),
    Field(
        name="tool_choice",
        session=(("tool_choice",),),
        response=(("tool_choice",),),
        agent=(_think("toolChoice"),),
        names=values.by_key("name"),
    ),
    Field(
        name="endpoints",
        agent=(_think("functions", "endpoint"), _think("endpoint"), ("agent", "speak", "endpoint")),
        names=values.by_key("url"),
        kinds=_NO_FORCE,
    ),
    Field(
        name="modalities",
        session=(("output_modalities",), ("modalities",)),
        response=(("output_modalities",), ("modalities",)),
        agent=(_think("outputModalities"),),
        names=values.each,
        to_openai=values.listed,
        to_deepgram=values.listed,
    ),
    Field(
        name="max_output_tokens",
        session=(("max_output_tokens",), ("max_response_output_tokens",)),
        response=(("max_output_tokens",), ("max_response_output_tokens",)),
        agent=(_think("maxOutputTokens"),),
    ),
    Field(
        name="turn_detection",
        session=(("audio", "input", "turn_detection"), ("turn_detection",)),
        agent=(("agent", "turn_detection"),),
        beside=tuple(_listen(each) for each in ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")),
        names=values.detection,
        to_openai=values.detection_object,
        to_deepgram=values.detection_name,
    ),
    Field(
        name="input_format",
        session=(("audio", "input", "format"), ("input_audio_format",)),
        agent=(("audio", "input"),),
        names=values.formats,
        to_openai=values.openai_format,
        to_deepgram=values.deepgram_format,
        is_enforced=False,
    ),
    Field(
        name="output_format",
        session=(("audio", "output", "format"), ("output_audio_format",)),
        response=(("audio", "output", "format"), ("output_audio_format",)),
        agent=(("audio", "output"),),
        names=values.formats,
        to_openai=values.openai_format,
        to_deepgram=values.deepgram_format,
        is_enforced=False,
    ),
    Field(
        name="transcription",
        session=(("audio", "input", "transcription"), ("input_audio_transcription",)),
        agent=(_listen("model"),),
        beside=tuple(_listen(each) for each in ("language", "keyterms", "language_hints", "language_hint")),
        names=values.by_key("model"),
        to_openai=values.object_of("model"),
        to_deepgram=values.name_of("model"),
    ),
    Field(
        name="noise_reduction",
        session=(("audio", "input", "noise_reduction"), ("input_audio_noise_reduction",)),
        names=values.by_key("type"),
        to_openai=values.object_of("type"),
    ),
    Field(
        name="truncation",
        session=(("truncation",),),
        response=(("truncation",),),
        agent=(_think("context_length"),),
        names=values.by_key("type"),
        to_deepgram=values.left_out,
    ),
    Field(
        name="reasoning",
        session=(("reasoning",),),
        response=(("reasoning",),),
        agent=(_think("provider", "reasoning_mode"),),
        names=values.by_key("effort"),
        to_openai=values.object_of("effort"),
        to_deepgram=values.name_of("effort"),
    ),
    Field(
        name="temperature",
        session=(("temperature",),),
        response=(("temperature",),),
        agent=(_think("provider", "temperature"),),
        # The present API refuses the field.
        is_enforced=False,
    ),
    Field(name="tracing", session=(("tracing",),), names=values.by_key("workflow_name")),
    Field(name="include", session=(("include",),), names=values.each, to_openai=values.listed),
    # Fields that exist only in `response.create`.
    Field(name="conversation", response=(("conversation",),)),
    Field(name="input", response=(("input",),), names=values.types),
    Field(name="metadata", response=(("metadata",),), names=values.keys),
    # Fields that exist only on Deepgram's wire.
    Field(name="greeting", agent=(("agent", "greeting"),)),
    Field(name="context", agent=(("agent", "context"), ("agent", "messages")), kinds=("deny",)),
    Field(
        name="agent_messages",
        message=(("InjectAgentMessage", "message"), ("InjectAgentMessage", "content")),
        kinds=_NO_FORCE,
    ),
    Field(name="user_messages", message=(("InjectUserMessage", "content"),), kinds=_NO_FORCE),
    # Whole messages: `router.policy.events`.
    Field(name="events", kinds=("allow", "deny")),
    Field(name="items", kinds=("allow", "deny")),
    Field(name="roles", kinds=("allow", "deny")),
)

FIELDS: Final[dict[str, Field]] = {row.name: row for row in _ROWS}
