"""The shapes of client events, compared with the vendor's types: both refuse an unknown key at any depth.

So a socket test in which the client receives no `Error` has shown that the oracle has no objection either.
"""

import copy

import pytest

from tests.support.data.oracle import OracleError, assert_client_event

USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
FORMAT = {"type": "audio/pcm", "rate": 24000}
EVENTS = [
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {
                "input": {
                    "format": FORMAT,
                    "transcription": {"model": "whisper-1"},
                    "noise_reduction": {"type": "near_field"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.5},
                },
                "output": {"format": dict(FORMAT), "voice": "marin"},
            },
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
            "tool_choice": {"type": "function", "name": "f"},
        },
    },
    {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
    },
    {"type": "conversation.item.create", "item": USER},
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    },
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": "1"}},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "response.create", "response": {"conversation": "none", "input": [USER], "audio": {"output": {}}}},
    {"type": "response.cancel"},
]
FREE = ("parameters",)
"""Objects that may hold anything."""


def objects(value, path=""):
    """Yield every object in `value` with its path."""
    if isinstance(value, dict):
        yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if key not in FREE:
            name = f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
            yield from objects(child, f"{path}{name}")


def with_an_unknown_key(event):
    """Yield the event once for each object in it, with an unknown key there and the path of that key."""
    for path, _ in objects(event):
        clone = copy.deepcopy(event)
        dict(objects(clone))[path]["surplus"] = 1
        yield pytest.param(clone, f"{path}.surplus" if path else "surplus", id=f"{event['type']} {path}")


@pytest.mark.parametrize(("event", "path"), [case for event in EVENTS for case in with_an_unknown_key(event)])
def test_an_unknown_key_is_refused_at_any_depth_by_both(machine, event, path):
    with pytest.raises(OracleError):
        assert_client_event(event)
    (error,) = machine.send(event.pop("type"), **event)
    assert (error["error"]["code"], error["error"]["param"]) == ("unknown_parameter", path)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["type"])
def test_the_oracle_accepts_the_events_without_the_key(event):
    assert_client_event(event)
