"""`agent.listen` to turn detection and transcription."""

import pytest

from router.deepgram.blocks import Agent, Listen, ListenProvider
from router.translation import listening


def agent(turn_detection=None, language=None, **provider):
    return Agent(listen=Listen(provider=ListenProvider(**provider)), turn_detection=turn_detection, language=language)


# Turn detection.


@pytest.mark.parametrize(
    ("given", "default", "mode"),
    [
        (agent(), "server_vad", "server_vad"),
        (agent(), "manual", "manual"),
        (agent("manual"), "server_vad", "manual"),
        (agent(eot_threshold=0.7), "server_vad", "semantic_vad"),
        (agent(eot_timeout_ms=3000), "server_vad", "semantic_vad"),
        (agent(eot_threshold=0.7), "manual", "manual"),
        (agent("server_vad", eot_threshold=0.7), "server_vad", "server_vad"),
    ],
)
def test_the_mode_is_the_client_s_or_judged_by_meaning_or_the_default(given, default, mode):
    assert listening.detection_mode(given, default) == mode


@pytest.mark.parametrize("mode", ["server_vad", "semantic_vad"])
def test_every_field_of_a_detector_is_explicit(mode):
    detection = listening.turn_detection(ListenProvider(), mode)

    assert detection["type"] == mode
    assert (detection["create_response"], detection["interrupt_response"]) == (True, True)


def test_manual_turns_have_no_detector():
    assert listening.turn_detection(ListenProvider(), "manual") is None


@pytest.mark.parametrize(
    ("threshold", "timeout_ms", "eagerness"),
    [
        (None, None, "auto"),
        (0.9, None, "low"),
        (0.85, None, "low"),
        (0.7, None, "auto"),
        (0.6, None, "high"),
        (0.9, 4000, "auto"),
        (0.9, 3000, "high"),
        (0.9, 1, "high"),
        (None, 8000, "auto"),
        (None, 2500, "high"),
    ],
)
def test_eagerness_follows_the_threshold_within_the_time_out(threshold, timeout_ms, eagerness):
    provider = ListenProvider(eot_threshold=threshold, eot_timeout_ms=timeout_ms)

    assert listening.turn_detection(provider, "semantic_vad")["eagerness"] == eagerness


@pytest.mark.parametrize(
    ("detection", "after"),
    [
        ({"type": "semantic_vad"}, "semantic_vad"),
        ({"threshold": 0.7}, "server_vad"),
        ({"type": "a_new_one"}, "server_vad"),
        ({"type": []}, "server_vad"),
        ({"type": "server_vad", "create_response": False}, listening.CLIENT_CONTROLLED),
        ({"type": "server_vad", "interrupt_response": False}, listening.CLIENT_CONTROLLED),
        (None, listening.CLIENT_CONTROLLED),
    ],
)
def test_a_client_s_own_update_says_how_turns_end(detection, after):
    session = {"audio": {"input": {"turn_detection": detection}}}

    assert listening.passthrough_detection(session, "server_vad") == after


@pytest.mark.parametrize("session", [None, {}, {"audio": None}, {"audio": {"input": []}}, {"audio": {"input": {}}}])
def test_an_update_without_turn_detection_changes_no_mode(session):
    assert listening.passthrough_detection(session, "manual") == "manual"


# Transcription.


@pytest.mark.parametrize(
    ("tag", "code"), [("en", "en"), ("en-US", "en"), ("multi", None), ("english", None), ("", None), (None, None)]
)
def test_a_language_tag_has_a_code_of_two_letters_or_none(tag, code):
    assert listening.language_code(tag) == code


@pytest.mark.parametrize(
    ("given", "model", "fields"),
    [
        (agent(), "whisper-1", {}),
        (agent(language="de"), "whisper-1", {"language": "de"}),
        (agent(language_hints=["fr"]), "whisper-1", {"language": "fr"}),
        (agent(language_hint="fr"), "whisper-1", {"language": "fr"}),
        (agent(language_hints=["fr", "de"]), "whisper-1", {}),
        (agent(language_hints=["fr", "de-AT"]), "gpt-transcribe", {"languages": ["fr", "de"]}),
        (agent(keyterms=["Ada"]), "whisper-1", {"prompt": "Ada"}),
        (agent(keyterms=["Ada", "Bob"]), "gpt-4o-transcribe", {"prompt": "Expect these words: Ada, Bob."}),
        (agent(keyterms=[]), "gpt-4o-mini-transcribe", {"prompt": ""}),
        (agent(keyterms=["Ada"]), "gpt-live-transcribe", {"keywords": ["Ada"]}),
        (agent(keyterms=["Ada"]), "gpt-4o-transcribe-diarize", {}),
        (agent(keyterms=["Ada"]), "a-model-of-tomorrow", {}),
    ],
)
def test_a_transcription_has_the_fields_that_its_model_takes(given, model, fields):
    assert listening.transcription(given, model) == {"model": model, **fields}


# Updates.


def test_an_omitted_field_stays_but_for_the_language_hints():
    before = ListenProvider(language="en", keyterms=["Ada"], language_hints=["en"])

    after = listening.updated(before, ListenProvider(language="fr"))
    assert (after.language, after.keyterms, after.hints) == ("fr", ["Ada"], [])


def test_new_hints_replace_those_under_the_older_name():
    after = listening.updated(ListenProvider(language_hint="en"), ListenProvider(language_hints=["fr"]))

    assert after.hints == ["fr"]
