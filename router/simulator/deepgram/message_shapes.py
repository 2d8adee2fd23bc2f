"""The shapes of client messages. As with the service, a field that is unknown or has a wrong type ends the session."""

from __future__ import annotations

from typing import Any, Final

Shape = Any
"""A tuple of the types that a field's value may have; or a dict with the shapes of the fields of an object."""

TEXT: Final = (str,)
NUMBER: Final = (int, float)
_PROVIDER: Final = {"type": TEXT}

_FORMAT: Final = {"encoding": TEXT, "sample_rate": NUMBER, "bitrate": NUMBER, "container": TEXT}
_AGENT: Final = {
    "language": TEXT,
    "context": (dict,),
    "listen": (dict,),
    "think": (dict, list),
    "speak": (dict, list),
    "greeting": TEXT,
}
SHAPES: Final[dict[str, dict[str, Shape]]] = {
    "Settings": {
        "tags": (list,),
        "experimental": (bool,),
        "flags": (dict,),
        "mip_opt_out": (bool,),
        "audio": {"input": _FORMAT, "output": _FORMAT},
        "agent": _AGENT,
    },
    "KeepAlive": {},
    "ForceEndTurn": {},
    "UpdatePrompt": {"prompt": TEXT},
    "UpdateThink": {"think": (dict, list)},
    "UpdateSpeak": {"speak": (dict, list)},
    "UpdateListen": {"listen": (dict,)},
    "InjectUserMessage": {"content": TEXT},
    "InjectAgentMessage": {"message": TEXT, "behavior": TEXT},
    "FunctionCallResponse": {"id": TEXT, "name": TEXT, "content": TEXT, "thought_signature": TEXT},
}
"""The permitted fields of each message, except `type`."""

REQUIRED: Final = {
    "Settings": ("audio", "agent"),
    "UpdatePrompt": ("prompt",),
    "UpdateThink": ("think",),
    "UpdateSpeak": ("speak",),
    "UpdateListen": ("listen",),
    "InjectUserMessage": ("content",),
    "InjectAgentMessage": ("message",),
    "FunctionCallResponse": ("name", "content"),
}


def problem_of(message: Any) -> str | None:
    """Return the first problem of a message as a sentence, or None."""
    kind = message.get("type") if isinstance(message, dict) else None
    if kind not in SHAPES:
        return "the text message matched none of the expected formats"
    for name in REQUIRED.get(kind, ()):
        if name not in message:
            return f"{name} is missing"
    fields = {name: value for name, value in message.items() if name != "type"}
    return _problem_of_fields(fields, SHAPES[kind], "")


def _problem_of_fields(fields: dict[str, Any], shape: dict[str, Shape], path: str) -> str | None:
    for name, value in fields.items():
        expected = shape.get(name)
        where = f"{path}{name}"
        if expected is None:
            return f"{where} is unknown"
        if isinstance(expected, dict):
            if not isinstance(value, dict):
                return f"{where} has the wrong type"
            problem = _problem_of_fields(value, expected, f"{where}.")
            if problem:
                return problem
        elif not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
            return f"{where} has the wrong type"
    return None
