"""The client's configuration, for another upstream."""

from router.fronts.realtime.configuration import Configuration

VAD = {"type": "server_vad", "threshold": 0.4}


def configured(*sessions):
    configuration = Configuration()
    for session in sessions:
        configuration.apply(session)
    return configuration.update


def test_updates_merge_as_the_service_merges_them():
    first = {"type": "realtime", "instructions": "One.", "tools": [{"name": "a"}], "audio": {"input": {"format": 1}}}
    second = {"type": "realtime", "tools": [], "audio": {"output": {"voice": "cedar"}}, "future": {"leaf": 1}}
    assert configured(first, second) == {
        "type": "realtime",
        "instructions": "One.",
        "tools": [],
        "audio": {"input": {"format": 1}, "output": {"voice": "cedar"}},
        "future": {"leaf": 1},
    }


def test_turn_detection_of_the_same_type_is_merged_and_another_one_replaced():
    def detection(value):
        return {"audio": {"input": {"turn_detection": value}}}

    merged = configured(detection(VAD), detection({"type": "server_vad", "silence_duration_ms": 300}))
    assert merged["audio"]["input"]["turn_detection"] == {**VAD, "silence_duration_ms": 300}
    assert configured(detection(VAD), detection({"type": "semantic_vad"})) == detection({"type": "semantic_vad"})
    assert configured(detection(VAD), detection(None)) == detection(None)


def test_the_effective_session_says_how_turns_end():
    configuration = Configuration()
    assert (configuration.turn_detection, configuration.answers_speech) == ({}, True)
    configuration.show({"audio": {"input": {"turn_detection": {**VAD, "create_response": False}}}})
    assert not configuration.answers_speech
    configuration.show({"audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}})
    assert configuration.turn_detection is None
    assert (configuration.answers_speech, configuration.transcribes) == (False, True)


def test_the_effective_session_says_how_long_audio_is():
    configuration = Configuration()
    assert (configuration.input_bytes_per_ms, configuration.output_bytes_per_ms) == (48, 48)
    configuration.show({"audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "x"}}}})
    assert (configuration.input_bytes_per_ms, configuration.output_bytes_per_ms) == (8, 48)


def test_the_prompt_is_the_client_s():
    configuration = Configuration()
    assert configuration.instructions is None
    configuration.apply({"instructions": "Be brief."})
    assert configuration.instructions == "Be brief."
