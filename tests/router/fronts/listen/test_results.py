"""Deepgram's messages about the user's words, as its SDK reads them."""

import json

import pytest

from router.fronts.listen import results
from tests.support.clients.deepgram_python import listen_types

WORDS = results.Words(text="Good morning", confidence=1.0, is_final=True, start_s=0.5, duration_s=1.25)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (results.results(WORDS, "r1", "m1"), "ListenV1Results"),
        (results.speech_started(0.5), "ListenV1SpeechStarted"),
        (results.utterance_end(1.75), "ListenV1UtteranceEnd"),
        (results.metadata("r1", 2.0), "ListenV1Metadata"),
        (results.error("A", "b"), "ListenV1Error"),
    ],
)
def test_deepgram_s_sdk_knows_every_field_and_misses_none(message, kind):
    fields = json.loads(message)
    model = getattr(listen_types, kind)
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required <= set(fields) <= set(model.model_fields)
    assert model.model_validate(fields).dict()["type"] == fields["type"]


def test_final_words_end_the_speech():
    fields = json.loads(results.results(WORDS, "r1", "m1"))
    assert (fields["is_final"], fields["speech_final"], fields["start"], fields["duration"]) == (True, True, 0.5, 1.25)
    assert fields["channel"]["alternatives"][0]["transcript"] == "Good morning"
