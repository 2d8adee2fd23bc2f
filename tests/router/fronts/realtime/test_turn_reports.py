"""Usage, turns and latencies of a relayed session."""

import pytest

from actors import messages as engine
from router.fronts.realtime.responses import Response
from router.fronts.realtime.turn_reports import Reports
from router.fronts.realtime.wire import new_event
from router.session.reports import AudioCarried, FunctionAnswered, Said, Turn, TurnBegan, TurnEnded, TurnLatency
from tests.support.machine.options import session_options

DONE = '{"type":"response.done","event_id":"e","response":{"id":"r","status":"completed","usage":{"total_tokens":7}}}'


@pytest.fixture
def reports():
    return Reports(session_options(), "gpt-realtime", None)


def answer(text):
    response = Response({"id": "r"}, None, is_outside=False)
    place = {"response_id": "r", "item_id": "i", "content_index": 0}
    response.note(new_event("response.output_text.delta", **place, delta=text))
    return response


def test_the_usage_of_a_response_counts_once_under_its_model(reports):
    reports.opened(engine.UpstreamOpened(1, 0, 0.0))
    usage = reports.usage(DONE, 1)
    assert (usage.model, usage.total_tokens, usage.status) == ("gpt-realtime", 7, "completed")
    assert reports.usage(DONE, 1) is None
    assert reports.usage(DONE, 2) is not None


def test_a_turn_has_its_texts_and_its_latency(reports):
    reports.said("user", "one?")
    assert reports.asked(10.0) == TurnBegan(0.0)
    reports.heard("text", 10.5)
    reports.heard("text", 11.0)
    turn = Turn(said=(Said("user", "one?"), Said("assistant", "One.")))
    assert reports.ended(answer("One.")) == [turn, TurnEnded(), TurnLatency(first_audio_s=None, first_text_s=0.5)]
    assert reports.turn() is None


def test_a_response_that_calls_a_function_ends_no_turn(reports):
    response = answer("One moment.")
    call = {"id": "c", "type": "function_call", "status": "completed"}
    response.note(new_event("response.output_item.done", output_index=1, item=call))
    reports.called("call_1", "get_weather", 10.0)
    assert reports.ended(response) == []
    assert reports.answered("call_1", 10.5) == FunctionAnswered(0.5, "call_1", "get_weather")
    assert reports.answered("call_1", 10.5) is None
    assert reports.turn(is_whole=False).functions == ("get_weather",)


def test_audio_of_both_sides_is_reported_once(reports):
    reports.received(0.5)
    reports.received(0.25)
    reports.sent(2.0)
    assert reports.audio() == AudioCarried(received_s=0.75, sent_s=2.0)
    assert reports.audio() is None
