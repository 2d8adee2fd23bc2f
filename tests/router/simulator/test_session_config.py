"""The session object: its defaults, updates, and the updates that are refused."""

from typing import Any

import orjson
import pytest

from router.simulator.session_config import DEFAULT_INSTRUCTIONS


def error_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    assert [event["type"] for event in events] == ["error"]
    return events[0]["error"]


def effective(events: list[dict[str, Any]]) -> dict[str, Any]:
    assert [event["type"] for event in events] == ["session.updated"], events
    return events[0]["session"]


@pytest.mark.parametrize(
    ("model", "voice", "silence_ms"), [("gpt-realtime", "alloy", 200), ("gpt-realtime-2.1", "marin", 500)]
)
def test_defaults_depend_on_the_model(make_machine, model, voice, silence_ms):
    session = make_machine(model=model).open().events[0]["session"]

    assert session["model"] == model
    assert session["audio"]["output"]["voice"] == voice
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == silence_ms


def test_an_update_changes_only_what_it_names(machine):
    machine.update(instructions="Be brief.", audio={"output": {"speed": 1.2}})
    session = effective(machine.update(output_modalities=["text"]))

    assert session["instructions"] == "Be brief."
    assert session["audio"]["output"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "voice": "alloy",
        "speed": 1.2,
    }
    assert session["output_modalities"] == ["text"]


def test_turn_detection_of_the_same_kind_merges_and_of_another_starts_from_defaults(machine):
    def detection(**fields: Any) -> dict[str, Any]:
        return effective(machine.update(audio={"input": {"turn_detection": fields}}))["audio"]["input"][
            "turn_detection"
        ]

    assert detection(type="server_vad", threshold=0.7)["silence_duration_ms"] == 200
    assert detection(type="server_vad", silence_duration_ms=900)["threshold"] == 0.7
    assert detection(type="semantic_vad") == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    assert detection(type="server_vad")["threshold"] == 0.5


def test_null_and_empty_values_unset_a_field(machine):
    tools = [{"type": "function", "name": "a", "description": "b", "parameters": {}}]
    machine.update(instructions="x", tools=tools, audio={"input": {"transcription": {"model": "whisper-1"}}})
    session = effective(
        machine.update(instructions="", tools=[], audio={"input": {"turn_detection": None, "transcription": None}})
    )

    assert session["instructions"] == DEFAULT_INSTRUCTIONS
    assert session["tools"] == []
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["input"]["transcription"] is None


def test_transcription_is_echoed_with_its_defaults(machine):
    session = effective(machine.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}}))

    assert session["audio"]["input"]["transcription"] == {
        "model": "gpt-realtime-whisper",
        "language": None,
        "prompt": None,
    }


def test_credentials_of_tools_are_never_echoed(machine):
    tool = {
        "type": "mcp",
        "server_label": "x",
        "server_url": "https://x",
        "authorization": "s3cret",
        "headers": {"k": "s3cret"},
    }
    machine.update(tools=[tool])
    machine.ask("Hello")

    assert "s3cret" not in orjson.dumps(machine.events).decode()


WRONG_UPDATES = [
    ({"voice": "marin"}, "unknown_parameter", "session.voice"),
    ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
    ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
    ({"turn_detection": None}, "unknown_parameter", "session.turn_detection"),
    ({"input_audio_format": "pcm16"}, "unknown_parameter", "session.input_audio_format"),
    ({"input_audio_transcription": {}}, "unknown_parameter", "session.input_audio_transcription"),
    ({"max_response_output_tokens": 5}, "unknown_parameter", "session.max_response_output_tokens"),
    ({"id": "sess_1"}, "unknown_parameter", "session.id"),
    ({"audio": {"input": {"sample_rate": 1}}}, "unknown_parameter", "session.audio.input.sample_rate"),
    ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
    ({"output_modalities": []}, "invalid_value", "session.output_modalities"),
    ({"output_modalities": ["video"]}, "invalid_value", "session.output_modalities[0]"),
    ({"instructions": 7}, "invalid_type", "session.instructions"),
    ({"tools": {}}, "invalid_type", "session.tools"),
    ({"tools": [{"type": "function", "function": {}}]}, "unknown_parameter", "session.tools[0].function"),
    ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
    ({"tools": [{"type": "web"}]}, "invalid_value", "session.tools[0].type"),
    ({"tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
    ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "session.tool_choice.name"),
    ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
    ({"max_output_tokens": 5000}, "integer_above_max_value", "session.max_output_tokens"),
    ({"max_output_tokens": True}, "invalid_type", "session.max_output_tokens"),
    ({"max_output_tokens": "lots"}, "invalid_value", "session.max_output_tokens"),
    (
        {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
        "integer_below_min_value",
        "session.audio.input.format.rate",
    ),
    ({"audio": {"input": {"format": {"type": "pcm16"}}}}, "invalid_value", "session.audio.input.format.type"),
    ({"audio": {"input": {"format": "pcm16"}}}, "invalid_type", "session.audio.input.format"),
    ({"audio": {"output": {"voice": "bob"}}}, "invalid_value", "session.audio.output.voice"),
    ({"audio": {"output": {"speed": 3}}}, "decimal_above_max_value", "session.audio.output.speed"),
    (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "eagerness": "low"}}}},
        "unknown_parameter",
        "session.audio.input.turn_detection.eagerness",
    ),
    (
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "idle_timeout_ms": 6000}}}},
        "unknown_parameter",
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 10}}}},
        "integer_below_min_value",
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    (
        {"audio": {"input": {"turn_detection": {"threshold": 0.5}}}},
        "missing_required_parameter",
        "session.audio.input.turn_detection.type",
    ),
    (
        {"audio": {"input": {"transcription": {"model": "deepgram"}}}},
        "invalid_value",
        "session.audio.input.transcription.model",
    ),
    ({"type": "transcription"}, "invalid_value", "session.type"),
    ({"type": "live"}, "invalid_value", "session.type"),
    ({"model": "gpt-realtime-2.1"}, "invalid_value", "session.model"),
    ({"reasoning": {"effort": "low"}}, "unsupported_parameter", "session.reasoning"),
]


@pytest.mark.parametrize(("session", "code", "param"), WRONG_UPDATES)
def test_a_wrong_update_is_refused_whole(machine, session, code, param):
    error = error_of(machine.update(**{"instructions": "changed", **session}))

    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert effective(machine.update())["instructions"] == DEFAULT_INSTRUCTIONS


def test_an_update_without_type_is_refused(machine):
    error = error_of(machine.send("session.update", session={"instructions": "x"}))

    assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")
    assert error["message"] == "Missing required parameter: 'session.type'."


def test_the_reasoning_family_takes_reasoning(make_machine):
    machine = make_machine(model="gpt-realtime-2.1").open()

    session = effective(machine.update(reasoning={"effort": "low"}, parallel_tool_calls=False))

    assert session["reasoning"] == {"effort": "low"}


def test_tracing_cannot_change_once_it_is_on(machine):
    machine.update(tracing="auto")

    assert error_of(machine.update(tracing=None))["param"] == "session.tracing"


def test_the_voice_is_locked_once_there_is_assistant_audio(machine):
    machine.update(audio={"output": {"voice": "cedar"}})
    machine.ask("Hello")
    error = error_of(machine.update(instructions="new", audio={"output": {"voice": "marin"}}))
    session = effective(machine.update(audio={"output": {"voice": "cedar"}}))

    assert (error["code"], error["param"]) == ("cannot_update_voice", "session.audio.output.voice")
    assert session["instructions"] == DEFAULT_INSTRUCTIONS


def test_text_answers_do_not_lock_the_voice(machine):
    machine.ask("Hello", output_modalities=["text"])

    assert effective(machine.update(audio={"output": {"voice": "marin"}}))["audio"]["output"]["voice"] == "marin"
