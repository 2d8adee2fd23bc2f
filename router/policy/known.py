"""The known fields of each wire. A policy denies every other field, so that no other spelling evades a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from router.policy.rules import Denied

if TYPE_CHECKING:
    from collections.abc import Mapping

Tree: TypeAlias = "Mapping[str, Tree | None]"
"""The known keys of an object, each with the tree of its value, or None if the value may have any shape."""


def _leaves(names: str) -> dict[str, Tree | None]:
    return dict.fromkeys(names.split())


_AUDIO_OUTPUT: Final[Tree] = _leaves("format voice speed")

SET_BY_SERVER: Final = ("id", "object", "expires_at", "client_secret")
"""The fields of a session that only its server sets."""

SESSION: Final[Tree] = {
    **dict.fromkeys(SET_BY_SERVER),
    **_leaves("type model instructions prompt tools tool_choice parallel_tool_calls output_modalities"),
    **_leaves("modalities max_output_tokens max_response_output_tokens voice speed temperature truncation tracing"),
    **_leaves("include reasoning turn_detection input_audio_format output_audio_format input_audio_transcription"),
    **_leaves("input_audio_noise_reduction"),
    "audio": {"input": _leaves("format transcription noise_reduction turn_detection"), "output": _AUDIO_OUTPUT},
}

RESPONSE: Final[Tree] = {
    **_leaves("conversation metadata input instructions prompt tools tool_choice parallel_tool_calls reasoning"),
    **_leaves("output_modalities modalities max_output_tokens max_response_output_tokens voice temperature"),
    **_leaves("output_audio_format truncation speed"),
    "audio": {"output": _AUDIO_OUTPUT},
}

ITEM: Final[Tree] = {
    **_leaves("id object type status role content call_id name arguments output approval_request_id approve reason"),
    **_leaves("server_label tools error phase"),
}

EVENTS: Final[dict[str, Tree]] = {
    "session.update": {"type": None, "event_id": None, "session": SESSION},
    "response.create": {"type": None, "event_id": None, "response": RESPONSE},
    "response.cancel": _leaves("type event_id response_id"),
    "conversation.item.create": {**_leaves("type event_id previous_item_id"), "item": ITEM},
    "conversation.item.delete": _leaves("type event_id item_id"),
    "conversation.item.truncate": _leaves("type event_id item_id content_index audio_end_ms"),
    "conversation.item.retrieve": _leaves("type event_id item_id"),
    "input_audio_buffer.append": _leaves("type event_id audio"),
    "input_audio_buffer.commit": _leaves("type event_id"),
    "input_audio_buffer.clear": _leaves("type event_id"),
    "output_audio_buffer.clear": _leaves("type event_id"),
}
"""The known fields of each of OpenAI's client events."""

_ENDPOINT: Final[Tree] = _leaves("url method headers")
_THINK: Final[Tree] = {
    "provider": _leaves("type model version temperature reasoning_mode credentials voice_prompt_opt_out"),
    **_leaves("prompt context_length toolChoice outputModalities maxOutputTokens managedPrompt"),
    "endpoint": _ENDPOINT,
    "functions": {
        **_leaves("name description parameters defer_until_eot initial_agent_filler agent_filler_max_count"),
        **_leaves("agent_filler_interval_ms"),
        "endpoint": _ENDPOINT,
    },
}
_SPEAK: Final[Tree] = {
    "provider": _leaves(
        "type model model_id version voice speed expressivity volume language language_code engine credentials"
    ),
    "endpoint": _ENDPOINT,
}
_LISTEN: Final[Tree] = {
    "provider": _leaves(
        "type version model language keyterms smart_format language_hints language_hint eot_threshold "
        "eager_eot_threshold eot_timeout_ms"
    )
}
_PAST: Final[Tree] = _leaves("type role content function_calls")
_AGENT: Final[Tree] = {
    **_leaves("language greeting turn_detection continued_text idleTimeoutMs"),
    "context": {"messages": _PAST},
    "messages": _PAST,
    "sessionAudioOutput": _leaves("voice speed"),
    "think": _THINK,
    "speak": _SPEAK,
    "listen": _LISTEN,
}
_FORMAT: Final[Tree] = _leaves("encoding sample_rate container bitrate")

MESSAGES: Final[dict[str, Tree]] = {
    "Settings": {
        **_leaves("type flags experimental tags mip_opt_out"),
        "audio": {"input": _FORMAT, "output": _FORMAT},
        "agent": _AGENT,
    },
    "UpdatePrompt": _leaves("type prompt"),
    "UpdateThink": {"type": None, "think": _THINK},
    "UpdateSpeak": {"type": None, "speak": _SPEAK},
    "UpdateListen": {"type": None, "listen": _LISTEN},
    "InjectUserMessage": _leaves("type content"),
    "InjectAgentMessage": _leaves("type message content behavior is_dynamic"),
    "FunctionCallResponse": _leaves("type id name content result error"),
    "ForceEndTurn": _leaves("type"),
    "KeepAlive": _leaves("type"),
}
"""The known fields of each of Deepgram's client messages."""


def unknown(node: object, tree: Tree, place: str = "", *, lists: bool = False) -> Denied | None:
    """Return the denial of the first field that is unknown, or that is no object but has to be one; or None.

    Args:
        node: an object of the message.
        tree: the known keys of the object.
        place: the place of the object.
        lists: whether `node` may be a list of such objects, as for fallbacks on Deepgram's wire.
    """
    if node is None:
        return None
    if lists and isinstance(node, list):
        found = (unknown(item, tree, f"{place}[{index}]") for index, item in enumerate(node))
        return next((each for each in found if each is not None), None)
    if not isinstance(node, dict):
        return Denied(place=place, field="", problem="is not an object")
    for key, value in node.items():
        here = f"{place}.{key[:_MAX_CHARS]}" if place else key[:_MAX_CHARS]
        if key not in tree:
            return Denied(place=here, field="", problem="is an unknown field, which this client may not send")
        inner = tree[key]
        denied = unknown(value, inner, here, lists=lists) if inner is not None else None
        if denied is not None:
            return denied
    return None


_MAX_CHARS: Final = 80
"""The most characters of a field's name that a denial repeats, because a client may send a name of any length."""
