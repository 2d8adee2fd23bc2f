"""The usage of upstreams: counted once, under the name of the model that it is for."""

import pytest

from actors import messages
from router.openai import events as openai
from router.session.state.meter import MAX_GENERATIONS, UsageMeter
from tests.support.machine.options import session_options

USAGE = {"input_tokens": 3, "output_tokens": 4}
DURATION = {"type": "duration", "seconds": 2}


def opened(generation=1, position=0):
    return messages.UpstreamOpened(generation, position, 0.0)


def done(response_id="resp_1", usage=USAGE):
    return openai.ResponseDone(response=openai.Response(id=response_id, status="completed", usage=usage))


def transcript(item_id="item_1", status=None):
    return openai.InputAudioTranscriptionCompleted(item_id=item_id, status=status, usage=DURATION)


def meter(*events, **options):
    it = UsageMeter(session_options(**options))
    for event in events:
        it.read(event, event.generation, "gpt-realtime")
    return it


def test_a_response_counts_once_however_often_its_end_is_repeated():
    it = meter(opened())
    assert it.read(done(), 1, "gpt-realtime").details == USAGE
    assert it.read(done(), 1, "gpt-realtime") is None


def test_the_next_upstream_may_give_the_same_id_again():
    it = meter(opened(), opened(2))
    assert it.read(done(), 1, "gpt-realtime")
    assert it.read(done(), 2, "gpt-realtime")


def test_responses_without_an_id_all_count():
    it = meter(opened())
    assert it.read(done(None), 1, "m")
    assert it.read(done(None), 1, "m")


def test_a_response_without_usage_may_be_repeated_with_it():
    it = meter(opened())
    assert it.read(done(usage=None), 1, "m") is None
    assert it.read(done(), 1, "m")


def test_an_unfinished_transcript_does_not_count():
    it = meter(opened())
    assert it.read(transcript(status="in_progress"), 1, "m") is None
    assert it.read(transcript(status="completed"), 1, "m")


def test_each_upstream_counts_under_the_names_that_it_was_asked_for():
    options = {
        "upstream_models": (None, "mine"),
        "transcription_models": ("theirs",),
        "transcription_model": "whisper-1",
    }
    it = meter(opened(), opened(2, position=1), **options)
    assert it.read(done(), 1, "gpt-realtime").model == "gpt-realtime"
    assert it.read(done(), 2, "gpt-realtime").model == "mine"
    assert it.read(transcript(), 1, "gpt-realtime").model == "theirs"
    assert it.read(transcript(), 2, "gpt-realtime").model == "whisper-1"


def test_a_transcription_model_that_the_upstream_reports_counts():
    it = meter(opened())
    audio = {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}
    it.read(openai.SessionUpdated(session=openai.SessionInfo(audio=audio)), 1, "m")
    assert it.read(transcript(), 1, "m").model == "gpt-4o-transcribe"


@pytest.mark.parametrize("audio", [None, [], {"input": None}, {"input": {"transcription": {"model": 3}}}])
def test_a_report_of_any_other_shape_changes_nothing(audio):
    it = meter(opened(), transcription_model="whisper-1")
    it.read(openai.SessionUpdated(session=openai.SessionInfo(audio=audio)), 1, "m")
    assert it.read(transcript(), 1, "m").model == "whisper-1"


def test_the_models_of_the_newest_upstreams_alone_are_remembered():
    it = meter(*(opened(generation) for generation in range(1, MAX_GENERATIONS + 3)), upstream_models=("mine",))
    assert it.read(done(), 1, "gpt-realtime").model == "gpt-realtime"
    assert it.read(done(), MAX_GENERATIONS + 2, "gpt-realtime").model == "mine"
