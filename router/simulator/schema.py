"""The shapes of the client events of the GA protocol, as tables of checks.

A field that is not in the tables is refused, such as the flat fields of the beta protocol. No check depends on a
session's state.
"""

from __future__ import annotations

from typing import Any, Final

from router.simulator.checks import (
    anything,
    array,
    base64_audio,
    boolean,
    either,
    fields,
    integer,
    json_object,
    mapping,
    nullable,
    number,
    one_of,
    refuse_value,
    string,
    tagged,
)
from router.simulator.errors import RequestError

MAX_EVENT_ID: Final = 512
MAX_ITEM_ID: Final = 32
MAX_TEXT: Final = 256_000
MAX_AUDIO_BYTES: Final = 15 * 1024 * 1024
MAX_OUTPUT_TOKENS: Final = 4096

VOICES: Final = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
TRANSCRIPTION_MODELS: Final = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-transcribe-diarize",
    "gpt-realtime-whisper",
    "gpt-transcribe",
    "gpt-live-transcribe",
)

_id = string(MAX_ITEM_ID)
_text = string(MAX_TEXT)


def _transcription_model(value: Any, path: str) -> None:
    string()(value, path)
    if not value.startswith(TRANSCRIPTION_MODELS):  # dated snapshots carry a suffix
        refuse_value(value, path, TRANSCRIPTION_MODELS)


def _modalities(value: Any, path: str) -> None:
    array(one_of("text", "audio"))(value, path)
    if len(value) != 1:
        message = f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio']."
        raise RequestError("invalid_value", message, path)


# Items.

_STATUS = one_of("completed", "incomplete", "in_progress")
_IDENTITY = {"id": _id, "object": one_of("realtime.item"), "type": anything}

_INPUT_TEXT = fields({"type": anything, "text": _text}, ("text",))
_INPUT_AUDIO = fields(
    {"type": anything, "audio": base64_audio(MAX_AUDIO_BYTES), "transcript": nullable(_text)}, ("audio",)
)
_INPUT_IMAGE = fields(
    {"type": anything, "image_url": string(), "detail": one_of("auto", "low", "high")}, ("image_url",)
)
_OUTPUT_TEXT = fields({"type": anything, "text": _text}, ("text",))

_CONTENT_BY_ROLE = {
    "system": {"input_text": _INPUT_TEXT},
    "user": {"input_text": _INPUT_TEXT, "input_audio": _INPUT_AUDIO, "input_image": _INPUT_IMAGE},
    "assistant": {"output_text": _OUTPUT_TEXT},
}
_MESSAGE = tagged(
    "role",
    {
        role: fields(
            {**_IDENTITY, "status": _STATUS, "role": anything, "content": array(tagged("type", parts))},
            ("role", "content"),
        )
        for role, parts in _CONTENT_BY_ROLE.items()
    },
)
_FUNCTION_CALL = fields(
    {**_IDENTITY, "status": _STATUS, "name": string(), "arguments": string(), "call_id": _id},
    ("name", "arguments", "call_id"),
)
_FUNCTION_CALL_OUTPUT = fields(
    {**_IDENTITY, "status": _STATUS, "call_id": _id, "output": string()}, ("call_id", "output")
)
_MCP_APPROVAL_RESPONSE = fields(
    {**_IDENTITY, "approval_request_id": string(), "approve": boolean, "reason": nullable(string())},
    ("approval_request_id", "approve"),
)
_ITEMS = {
    "message": _MESSAGE,
    "function_call": _FUNCTION_CALL,
    "function_call_output": _FUNCTION_CALL_OUTPUT,
    "mcp_approval_response": _MCP_APPROVAL_RESPONSE,
}
_ITEM = tagged("type", _ITEMS)
_INPUT_ITEM = tagged("type", {**_ITEMS, "item_reference": fields({"type": anything, "id": _id}, ("id",))})

# Tools.

_FUNCTION_TOOL = fields(
    {"type": anything, "name": string(64), "description": string(), "parameters": json_object}, ("name",)
)
_MCP_TOOL = fields(
    {
        "type": anything,
        "server_label": string(),
        "server_url": string(),
        "connector_id": string(),
        "tunnel_id": string(),
        "authorization": string(),
        "headers": nullable(json_object),
        "allowed_tools": anything,
        "require_approval": anything,
        "server_description": string(),
        "defer_loading": boolean,
        "allowed_callers": anything,
    },
    ("server_label",),
)
_TOOLS = array(tagged("type", {"function": _FUNCTION_TOOL, "mcp": _MCP_TOOL}))
_TOOL_CHOICE = either(
    {
        str: one_of("auto", "none", "required"),
        dict: tagged(
            "type",
            {
                "function": fields({"type": anything, "name": string()}, ("name",)),
                "mcp": fields(
                    {"type": anything, "server_label": string(), "name": nullable(string())}, ("server_label",)
                ),
            },
        ),
    },
    "one of a string or an object",
)

# The session.

_MAX_TOKENS = either({int: integer(1, MAX_OUTPUT_TOKENS), str: one_of("inf")}, "one of an integer or 'inf'")
_REASONING = fields({"effort": one_of("minimal", "low", "medium", "high", "xhigh")})
_PROMPT = fields({"id": string(), "version": nullable(string()), "variables": nullable(json_object)}, ("id",))
_FORMAT = tagged(
    "type",
    {
        "audio/pcm": fields({"type": anything, "rate": integer(24000, 24000)}),
        "audio/pcmu": fields({"type": anything}),
        "audio/pcma": fields({"type": anything}),
    },
)
_VOICE = either({str: one_of(*VOICES), dict: fields({"id": string()}, ("id",))}, "one of a string or an object")
_TURN_DETECTION = tagged(
    "type",
    {
        "server_vad": fields(
            {
                "type": anything,
                "threshold": number(0, 1),
                "prefix_padding_ms": integer(0),
                "silence_duration_ms": integer(0),
                "idle_timeout_ms": nullable(integer(5000, 30000)),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
        "semantic_vad": fields(
            {
                "type": anything,
                "eagerness": one_of("low", "medium", "high", "auto"),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
    },
)
_TRANSCRIPTION = fields(
    {
        "model": _transcription_model,
        "language": nullable(string()),
        "prompt": nullable(string()),
        "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
        "keywords": array(string()),
        "languages": array(string()),
    }
)
_NOISE_REDUCTION = fields({"type": one_of("near_field", "far_field"), "strength": anything})
_TRACING = either(
    {
        str: one_of("auto"),
        dict: fields({"workflow_name": string(), "group_id": string(), "metadata": json_object}),
    },
    "one of 'auto' or an object",
)
_TRUNCATION = either(
    {
        str: one_of("auto", "disabled"),
        dict: tagged(
            "type",
            {
                "retention_ratio": fields(
                    {
                        "type": anything,
                        "retention_ratio": number(0, 1),
                        "token_limits": fields({"post_instructions": integer(0)}),
                    },
                    ("retention_ratio",),
                )
            },
        ),
    },
    "one of a string or an object",
)
_SESSION = fields(
    {
        "type": anything,
        "model": string(),
        "output_modalities": _modalities,
        "instructions": string(),
        "tools": _TOOLS,
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": boolean,
        "reasoning": _REASONING,
        "max_output_tokens": _MAX_TOKENS,
        "truncation": _TRUNCATION,
        "prompt": nullable(_PROMPT),
        "tracing": nullable(_TRACING),
        "include": nullable(array(one_of("item.input_audio_transcription.logprobs"))),
        "audio": fields(
            {
                "input": fields(
                    {
                        "format": _FORMAT,
                        "transcription": nullable(_TRANSCRIPTION),
                        "noise_reduction": nullable(_NOISE_REDUCTION),
                        "turn_detection": nullable(_TURN_DETECTION),
                    }
                ),
                "output": fields({"format": _FORMAT, "voice": _VOICE, "speed": number(0.25, 1.5)}),
            }
        ),
    },
    ("type",),
)


def _session(value: Any, path: str) -> None:
    if isinstance(value, dict) and value.get("type") == "transcription":
        message = "Passing a transcription session update event to a realtime session is not allowed."
        raise RequestError("invalid_value", message, f"{path}.type")
    tagged("type", {"realtime": _SESSION})(value, path)


_RESPONSE = fields(
    {
        "conversation": one_of("auto", "none"),
        "input": array(_INPUT_ITEM),
        "instructions": string(),
        "output_modalities": _modalities,
        "audio": fields({"output": fields({"format": _FORMAT, "voice": _VOICE})}),
        "tools": _TOOLS,
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": boolean,
        "reasoning": _REASONING,
        "max_output_tokens": _MAX_TOKENS,
        "metadata": nullable(mapping(string(512), 16, 64)),
        "prompt": nullable(_PROMPT),
    }
)

# Events.

_EVENT = {"type": anything, "event_id": nullable(string(MAX_EVENT_ID))}

EVENTS: Final = {
    "session.update": fields({**_EVENT, "session": _session}, ("session",)),
    # The service lists `session.close` as known. The event belongs to translation sessions, so every session here
    # refuses it.
    "session.close": fields(_EVENT),
    "input_audio_buffer.append": fields({**_EVENT, "audio": base64_audio(MAX_AUDIO_BYTES)}, ("audio",)),
    "input_audio_buffer.commit": fields(_EVENT),
    "input_audio_buffer.clear": fields(_EVENT),
    "session.input_audio_buffer.append": fields({**_EVENT, "audio": base64_audio(MAX_AUDIO_BYTES)}, ("audio",)),
    "conversation.item.create": fields({**_EVENT, "item": _ITEM, "previous_item_id": nullable(string())}, ("item",)),
    "conversation.item.retrieve": fields({**_EVENT, "item_id": string()}, ("item_id",)),
    "conversation.item.truncate": fields(
        {**_EVENT, "item_id": string(), "content_index": integer(0), "audio_end_ms": integer(0)},
        ("item_id", "content_index", "audio_end_ms"),
    ),
    "conversation.item.delete": fields({**_EVENT, "item_id": string()}, ("item_id",)),
    "response.create": fields({**_EVENT, "response": nullable(_RESPONSE)}),
    "response.cancel": fields({**_EVENT, "response_id": nullable(string())}),
}
"""Every client event that the service lists for a WebSocket, in the service's order, with the check of its shape."""


def check_event(event: Any) -> str:
    """Return the type of a well-formed client event; raises `RequestError` for any other."""
    if not isinstance(event, dict):
        raise RequestError("invalid_event", "The event must be a JSON object.")
    kind = event.get("type")
    if kind is None:
        raise RequestError("missing_required_parameter", "Missing required parameter: 'type'.", "type")
    string()(kind, "type")
    check = EVENTS.get(kind)
    if check is None:
        refuse_value(kind, "type", tuple(EVENTS))
    else:
        check(event, "")
    return str(kind)
