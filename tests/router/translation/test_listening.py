"""`agent.listen` to turn detection and transcription."""

import pytest

from router.config.model import Tuning
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


BY_CLIENT = listening.Detection(detector=None)
"""The client commits, and requests responses."""


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({"type": "server_vad"}, listening.Detection()),
        ({"type": "semantic_vad", "eagerness": "low"}, listening.Detection(detector="semantic_vad")),
        ({"silence_duration_ms": 200}, listening.Detection()),
        ({"type": "server_vad", "create_response": False}, listening.Detection(creates_response=False)),
        ({"type": "server_vad", "interrupt_response": False}, listening.Detection(interrupts_response=False)),
        ({"type": 7}, listening.Detection()),
        (None, BY_CLIENT),
        ("none", BY_CLIENT),
    ],
)
def test_a_client_s_own_update_says_how_turns_end(given, after):
    session = {"audio": {"input": {"turn_detection": given}}}
    assert listening.detection_after(session, listening.Detection()) == after


def test_an_update_of_the_same_detector_keeps_its_other_fields():
    before = listening.Detection(creates_response=False)
    assert listening.detection_after(detecting({"type": "server_vad"}), before) == before
    assert listening.detection_after(detecting({"threshold": 0.7}), before) == before
    assert listening.detection_after(detecting({"type": "semantic_vad"}), before).creates_response


def detecting(turn_detection):
    return {"audio": {"input": {"turn_detection": turn_detection}}}


@pytest.mark.parametrize("session", [None, {}, {"audio": None}, {"audio": {"input": []}}, {"audio": {"input": {}}}])
def test_an_update_without_the_field_changes_neither_turn_detection_nor_transcription(session):
    before = listening.detection_of("manual")
    assert listening.detection_after(session, before) is before
    assert listening.transcribes_after(session, before=True)
    assert not listening.transcribes_after(session, before=False)


@pytest.mark.parametrize(("given", "after"), [({"model": "whisper-1"}, True), (None, False), ("whisper-1", False)])
def test_a_client_s_own_update_says_whether_speech_is_transcribed(given, after):
    assert listening.transcribes_after({"audio": {"input": {"transcription": given}}}, before=not after) is after


def test_each_part_of_a_detected_turn_is_the_upstream_s_or_the_client_s():
    assert not BY_CLIENT.is_on
    assert not BY_CLIENT.is_manual
    silent = listening.Detection(creates_response=False)
    assert (silent.is_on, silent.owes_answers, silent.interrupts) == (True, False, True)
    patient = listening.Detection(interrupts_response=False)
    assert (patient.is_on, patient.owes_answers, patient.interrupts) == (True, True, False)
    manual = listening.detection_of("manual")
    assert (manual.is_manual, manual.owes_answers, manual.interrupts) == (True, False, False)


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


@pytest.mark.parametrize(
    ("provider", "eagerness"),
    [({}, "low"), ({"eot_threshold": 0.7}, "auto"), ({"eot_timeout_ms": 2000}, "high")],
)
def test_an_operator_s_eagerness_holds_until_the_client_chooses(provider, eagerness):
    chosen = listening.turn_detection(ListenProvider(**provider), "semantic_vad", Tuning(vad_eagerness="low"))
    assert chosen["eagerness"] == eagerness


@pytest.mark.parametrize(
    ("provider", "model", "named"),
    [
        ({"keyterms": ["Ada"]}, "gpt-realtime-whisper", "`keyterms`"),
        ({"keyterms": ["Ada"]}, "gpt-4o-transcribe-diarize", "`keyterms`"),
        ({"language_hints": ["en", "fr"]}, "whisper-1", "`language_hints`"),
        ({"keyterms": ["Ada"]}, "gpt-4o-transcribe", None),
        ({"keyterms": [], "language_hints": ["en"]}, "gpt-realtime-whisper", None),
        ({"keyterms": ["Ada"], "language_hints": ["en", "fr"]}, "gpt-live-transcribe", None),
    ],
)
def test_what_the_transcription_model_does_not_take_is_named(provider, model, named):
    sentence = listening.untaken(ListenProvider(**provider), model)
    assert sentence is None if named is None else named in sentence
