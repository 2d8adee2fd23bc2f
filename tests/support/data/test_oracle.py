"""The oracle: it accepts and refuses the same objects as the vendors' servers."""

import copy
from typing import Any

import pytest

from tests.support.data.oracle import (
    OracleError,
    assert_client_event,
    assert_message_of,
    assert_server_message,
    client_event_types,
    server_event_types,
)
from tests.support.data.recordings import NAMES, recording

OPENAI = [name for name in NAMES if name.startswith("openai-")]

SESSION_UPDATE: dict[str, Any] = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-4o-transcribe"},
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 500},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"},
        },
        "tools": [{"type": "function", "name": "get_weather", "parameters": {"type": "object", "x-own": 1}}],
    },
}
USER_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
OUTPUT_ITEM = {"type": "function_call_output", "call_id": "call_1", "output": "{}"}


def changed(event: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = path.split(".")
    clone = copy.deepcopy(event)
    node: Any = clone
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node[key]
    node[last] = value
    return clone


@pytest.mark.parametrize(
    "event",
    [
        SESSION_UPDATE,
        changed(SESSION_UPDATE, "session.audio.input.turn_detection", None),
        changed(SESSION_UPDATE, "session.audio.input.turn_detection", {"type": "semantic_vad"}),
        {"type": "conversation.item.create", "item": USER_ITEM | {"id": "item_1"}, "event_id": "event_1"},
        {"type": "conversation.item.create", "item": OUTPUT_ITEM},
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 40},
        {"type": "input_audio_buffer.append", "audio": "AAAA"},
        {"type": "input_audio_buffer.commit"},
        {"type": "response.create"},
        {"type": "response.create", "response": {"instructions": "Say hello."}},
        {"type": "response.cancel", "response_id": "resp_1"},
    ],
)
def test_an_event_of_the_api_s_documentation_is_accepted(event):
    assert_client_event(event)


@pytest.mark.parametrize("name", OPENAI)
def test_an_event_of_a_real_client_is_accepted(name):
    sent = [interaction.event for interaction in recording(name) if interaction.direction == "sent"]
    assert sent
    for event in sent:
        assert_client_event(event)


@pytest.mark.parametrize(
    "path",
    [
        "obfuscation",
        "session.nonsense",
        "session.audio.nonsense",
        "session.audio.input.nonsense",
        "session.audio.input.format.bits",
        "session.audio.input.transcription.nonsense",
        "session.audio.input.turn_detection.eagerness",
        "session.tools.0.client_side",
    ],
)
def test_an_unknown_key_is_refused_at_every_depth(path):
    with pytest.raises(OracleError) as caught:
        assert_client_event(changed(SESSION_UPDATE, path, "low"))
    assert caught.value.problems == [f"{path}: unknown key"]


@pytest.mark.parametrize(
    "field",
    [
        "modalities",
        "voice",
        "input_audio_format",
        "input_audio_transcription",
        "turn_detection",
        "temperature",
        "max_response_output_tokens",
    ],
)
def test_a_field_of_the_beta_api_is_refused(field):
    with pytest.raises(OracleError, match=f"session.{field}: unknown key"):
        assert_client_event(changed(SESSION_UPDATE, f"session.{field}", None))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("session.type", "conversation"),
        ("session.output_modalities", ["video"]),
        ("session.audio.input.format", {"type": "pcm16"}),
        ("session.audio.input.format.rate", 16000),
        ("session.audio.input.turn_detection.type", "vad"),
        ("session.instructions", 5),
        ("session.audio.input.turn_detection.threshold", "0.5"),
        ("session.audio.input.turn_detection.silence_duration_ms", 0.5),
        ("session.tools.0.type", "tool"),
        ("session.tools", {}),
    ],
)
def test_a_wrong_literal_or_type_is_refused(path, value):
    with pytest.raises(OracleError, match=path.split(".0")[0].split(".")[1]):
        assert_client_event(changed(SESSION_UPDATE, path, value))


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "KeepAlive"},
        {"type": "session.updated", "session": {}},
        {"type": "transcription_session.update", "session": {}},
        {"type": "conversation.item.create"},
        {"type": "conversation.item.create", "item": OUTPUT_ITEM | {"output": {"t": 1}}},
        {"type": "conversation.item.create", "item": {"type": "message", "role": "tool", "content": []}},
        {
            "type": "conversation.item.create",
            "item": USER_ITEM | {"content": [{"type": "text"}]},
        },
        {"type": "conversation.item.create", "item": USER_ITEM | {"role": "assistant"}},
        {"type": "conversation.item.truncate", "item_id": "i"},
        {"type": "input_audio_buffer.append"},
        {"type": "response.create", "response": {"modalities": ["text"]}},
    ],
)
def test_an_event_that_is_no_client_event_is_refused(event):
    with pytest.raises(OracleError):
        assert_client_event(event)


def test_the_event_unions_are_known_by_type():
    assert {"session.created", "response.done", "conversation.item.added", "error"} <= server_event_types()
    assert {"session.update", "response.create", "input_audio_buffer.append"} <= client_event_types()
    assert not server_event_types() & client_event_types()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "Welcome", "request_id": "r"},
        {"type": "AgentAudioDone"},
        {"type": "ConversationText", "role": "user", "content": "Hi"},
        {"type": "History", "role": "assistant", "content": "Hi"},
        {"type": "Error", "description": "d", "code": "c"},
        {
            "type": "FunctionCallRequest",
            "functions": [{"id": "1", "name": "f", "arguments": "{}", "client_side": True}],
        },
    ],
)
def test_a_message_of_deepgram_s_is_accepted(message):
    assert_server_message(message)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"type": "AgentDone"}, "type"),
        ({"type": "Transcript", "transcript": "Hi"}, "type"),
        ({"type": "AgentThinking"}, "content"),
        ({"type": "Error", "description": "d", "code": 1000}, "code"),
        ({"type": "AgentAudioDone", "turn": 1}, "turn: unknown key"),
        ({"type": "FunctionCallRequest", "functions": [{"id": "1"}]}, "functions.0.name"),
    ],
)
def test_a_message_that_deepgram_never_sends_is_refused(message, problem):
    with pytest.raises(OracleError, match=problem):
        assert_server_message(message)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "AgentStartedSpeaking"},
        {"type": "AgentDone"},
        {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.5},
        {
            "type": "Transcript",
            "transcript": "Hi",
            "channel": {"alternatives": [{"transcript": "Hi", "confidence": 1.0, "words": []}]},
            "is_final": True,
            "speech_final": True,
        },
    ],
)
def test_a_further_message_to_the_react_component_is_for_it_alone(message):
    assert_message_of("openai", message)
    with pytest.raises(OracleError):
        assert_message_of("converse", message)
    with pytest.raises(OracleError, match="more: unknown key"):
        assert_message_of("openai", {**message, "more": 1})


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_message_of_deepgram_s_is_judged_alike_for_both_profiles(profile):
    assert_message_of(profile, {"type": "Welcome", "request_id": "r"})
    with pytest.raises(OracleError):
        assert_message_of(profile, {"type": "Welcome"})
