"""Audio formats: accepted and refused by the schema, and used for input, output and truncation."""

import base64

import pytest

FORMATS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}
"""The formats, each with its bytes per millisecond."""

LOUD = {"audio/pcm": b"\0\x20\0\xe0", "audio/pcmu": bytes([0x10, 0x90]), "audio/pcma": bytes([0x2A, 0xAA])}
SILENT = {"audio/pcm": b"\0\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}


def of(events, kind):
    return [event for event in events if event["type"] == kind]


def sound(kind, duration_ms, pattern=LOUD):
    size = duration_ms * FORMATS[kind]
    return (pattern[kind] * size)[:size]


def form(kind):
    return {"type": kind, "rate": 24000} if kind == "audio/pcm" else {"type": kind}


def append(machine, audio):
    return machine.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())


@pytest.mark.parametrize("heard", FORMATS)
@pytest.mark.parametrize("spoken", FORMATS)
def test_each_direction_has_a_format_of_its_own_and_the_answer_says_which(machine, heard, spoken):
    (updated,) = machine.update(audio={"input": {"format": form(heard)}, "output": {"format": form(spoken)}})
    audio = updated["session"]["audio"]
    assert (audio["input"]["format"], audio["output"]["format"]) == (form(heard), form(spoken))


def test_a_rate_that_is_not_named_is_24_khz(machine):
    (updated,) = machine.update(audio={"input": {"format": {"type": "audio/pcm"}}})
    assert updated["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


@pytest.mark.parametrize("direction", ["input", "output"])
@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"type": "audio/pcm", "rate": 16000}, "integer_below_min_value", "rate"),
        ({"type": "audio/pcm", "rate": 48000}, "integer_above_max_value", "rate"),
        ({"type": "audio/pcm", "rate": "24000"}, "invalid_type", "rate"),
        ({"type": "audio/pcmu", "rate": 8000}, "unknown_parameter", "rate"),
        ({"type": "audio/opus"}, "invalid_value", "type"),
        ({"rate": 24000}, "missing_required_parameter", "type"),
    ],
)
def test_any_other_format_is_refused_and_nothing_is_changed(machine, direction, given, code, param):
    before = machine.update(instructions="Be brief.")[0]["session"]["audio"]
    (refused,) = machine.update(audio={direction: {"format": given}})
    assert refused["type"] == "error"
    assert (refused["error"]["code"], refused["error"]["param"]) == (code, f"session.audio.{direction}.format.{param}")
    assert machine.update(instructions="Be brief.")[0]["session"]["audio"] == before


def test_the_beta_s_name_of_a_format_is_refused(machine):
    (refused,) = machine.update(input_audio_format="g711_ulaw")
    assert refused["error"]["code"] == "unknown_parameter"


@pytest.mark.parametrize("kind", FORMATS)
def test_speech_is_detected_and_timed_in_its_own_format(machine, kind):
    machine.update(audio={"input": {"format": form(kind)}})
    events = append(machine, sound(kind, 1000, SILENT) + sound(kind, 600) + sound(kind, 600, SILENT))
    (started,) = of(events, "input_audio_buffer.speech_started")
    (stopped,) = of(events, "input_audio_buffer.speech_stopped")
    assert started["audio_start_ms"] == 700, "with 300 ms before it"
    assert stopped["audio_end_ms"] == 1600 + machine_silence_ms(machine)


def machine_silence_ms(machine):
    (updated,) = machine.update(instructions="Be brief.")
    return updated["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_least_that_can_be_committed_is_100_ms(machine, kind):
    machine.update(audio={"input": {"format": form(kind), "turn_detection": None}})
    append(machine, sound(kind, 99))
    (refused,) = machine.send("input_audio_buffer.commit")
    assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
    append(machine, sound(kind, 1))
    assert of(machine.send("input_audio_buffer.commit"), "input_audio_buffer.committed")


@pytest.mark.parametrize("kind", FORMATS)
def test_speech_that_a_client_brings_is_in_the_session_s_input_format(machine, kind):
    machine.update(output_modalities=["text"], audio={"input": {"format": form(kind)}})
    part = {"type": "input_audio", "audio": base64.b64encode(sound(kind, 1500)).decode()}
    machine.send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    machine.send("response.create")
    assert "(speech, 1.5 seconds)" in machine.answer


@pytest.mark.parametrize("kind", FORMATS)
def test_an_answer_is_truncated_by_its_length_and_not_by_its_bytes(machine, kind):
    machine.update(audio={"output": {"format": form(kind)}})
    events = machine.ask("Hello")
    audio = b"".join(base64.b64decode(event["delta"]) for event in of(events, "response.output_audio.delta"))
    length_ms = len(audio) // FORMATS[kind]
    place = {"item_id": machine.open_output(), "content_index": 0}
    (refused,) = machine.send("conversation.item.truncate", **place, audio_end_ms=length_ms + 1)
    assert refused["error"]["code"] == "invalid_value"
    (truncated,) = machine.send("conversation.item.truncate", **place, audio_end_ms=length_ms - 1)
    assert truncated["type"] == "conversation.item.truncated"


def test_audio_in_the_former_format_is_dropped(machine):
    """A client may change the format between turns; audio that is not committed is dropped."""
    machine.update(audio={"input": {"format": form("audio/pcm"), "turn_detection": None}})
    append(machine, sound("audio/pcm", 500))
    machine.update(audio={"input": {"format": form("audio/pcmu")}})
    (refused,) = machine.send("input_audio_buffer.commit")
    assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
