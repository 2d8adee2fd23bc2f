"""Everything that a relay of `/v1/realtime` keeps is bounded, whatever event either peer repeats."""

import pytest

from actors import messages as engine
from router.fronts.realtime.requests import MAX_UNANSWERED_BYTES
from router.fronts.realtime.responses import MAX_CHARS, MAX_RESPONSES
from tests.support.machine.containers import chars, long, renamed, sizes
from tests.support.machine.realtime_book import AUDIO_SESSION, RealtimeBook, message
from tests.support.processes.further import third

PLACE = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
OF_R1 = {"response_id": "r1", "output_index": 0}
USER = message("i", "user", "Q")
AGENT = message("i", "assistant", "A")
CALL = {"id": "i", "type": "function_call", "name": "f", "call_id": "c", "arguments": "{}", "status": "completed"}
SPEECH = "input_audio_buffer."
TRANSCRIPTION = "conversation.item.input_audio_transcription."

UPSTREAM = [
    {"type": "session.created", "session": {"id": "s"}},
    {"type": "session.updated", "session": {"id": "s"}},
    {"type": "conversation.item.added", "previous_item_id": None, "item": USER},
    {"type": "conversation.item.done", "previous_item_id": None, "item": AGENT},
    {"type": "conversation.item.created", "previous_item_id": None, "item": AGENT},
    {"type": "conversation.item.deleted", "item_id": "i"},
    {"type": "conversation.item.truncated", "item_id": "i", "content_index": 0, "audio_end_ms": 1},
    {"type": "conversation.item.retrieved", "item": USER},
    {"type": f"{TRANSCRIPTION}delta", "item_id": "i", "content_index": 0, "delta": "a"},
    {"type": f"{TRANSCRIPTION}completed", "item_id": "i", "content_index": 0, "transcript": "a"},
    {"type": f"{TRANSCRIPTION}failed", "item_id": "i", "content_index": 0, "error": {"code": "x"}},
    {"type": f"{SPEECH}speech_started", "item_id": "i", "audio_start_ms": 0},
    {"type": f"{SPEECH}speech_stopped", "item_id": "i", "audio_end_ms": 9},
    {"type": f"{SPEECH}committed", "item_id": "i", "previous_item_id": None},
    {"type": f"{SPEECH}cleared"},
    {"type": "response.created", "response": {"id": "r", "conversation_id": "c"}},
    {"type": "response.created", "response": {"id": "r", "conversation_id": None}},
    {"type": "response.done", "response": {"id": "r", "status": "completed", "output": [], "usage": {}}},
    {"type": "response.output_item.added", **OF_R1, "item": AGENT},
    {"type": "response.output_item.added", **OF_R1, "item": CALL},
    {"type": "response.output_item.done", **OF_R1, "item": AGENT},
    {"type": "response.output_item.done", **OF_R1, "item": CALL},
    {"type": "response.content_part.added", **PLACE, "part": {"type": "text", "text": ""}},
    {"type": "response.output_text.delta", **PLACE, "delta": "a"},
    {"type": "response.output_text.done", **PLACE, "text": "a"},
    {"type": "response.output_audio_transcript.delta", **PLACE, "delta": "a"},
    {"type": "response.output_audio.delta", **PLACE, "delta": "AAAA"},
    {"type": "response.function_call_arguments.delta", **PLACE, "call_id": "c", "delta": "{"},
    {"type": "response.function_call_arguments.done", **PLACE, "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": "m", "event_id": "e"}},
    {"type": "from.the.future"},
]
CLIENT = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "a"}},
    {"type": "conversation.item.create", "item": USER},
    {"type": "conversation.item.create", "item": {**USER, "id": None}},
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": "1"}},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1},
    {"type": "response.create"},
    {"type": "response.create", "response": {"conversation": "none", "metadata": {"a": "b"}}},
    {"type": "response.cancel"},
    {"type": f"{SPEECH}append", "audio": "AAAA"},
    {"type": f"{SPEECH}commit"},
    {"type": f"{SPEECH}clear"},
    {"type": "from.the.future"},
]

MOST = 256
"""The bound of every container that has no other bound below."""

STATE = "RealtimeRelay.context.state."
MOST_OF = {
    f"{STATE}items._items": 2_000,
    f"{STATE}items._order": 2_000,
    f"{STATE}names._current": 4_000,
    f"{STATE}names._known": 4_000,
    f"{STATE}names._to_client": 4_000,
    f"{STATE}names._to_upstream": 4_000,
    f"{STATE}speech._segments": 2_001,
    f"{STATE}speech._segments[]": 10_000,
    f"{STATE}unanswered._sent": 2_000,
    f"{STATE}waiting._events": 10_000,
    "RealtimeRelay.context.reports._turn_log._said": 1_000,
    "RealtimeRelay.context.reports._turn_log._functions": 1_000,
    "RealtimeRelay.context.reports._meter._counted": 1_000,
}
"""Containers with a bound of their own."""

FEW = 320
MANY = 5_000
LONG = "word " * 100_000
LONG_TIMES = 90
MOST_CHARS = 33 * 1024 * 1024
"""The bound of the waiting events, 32 Mi characters, and the newest of them."""


def ready():
    return RealtimeBook().ready()


def answering():
    return ready().ask().begin().write("Hi.")


def committed():
    book = RealtimeBook().ready(**AUDIO_SESSION)
    for kind in ("speech_started", "speech_stopped", "committed"):
        book.server(f"{SPEECH}{kind}", item_id="u0")
    return book


def calling():
    return ready().ask().begin().call()


def lost():
    return ready().lose()


def continued():
    """Another upstream continues an answer."""
    return answering().lose().open()


STATES = [RealtimeBook, ready, answering, committed, calling, lost, continued]


def texts_of(event, times, how):
    """Yield the event again and again: with new ids in the response `r1`, in new parts of an item, or unchanged."""
    for at in range(times):
        numbered = {**event, "content_index": at} if how == "in new parts" and "content_index" in event else event
        text = renamed(numbered, at if how == "with new ids" else 0)
        yield text.replace(f'"r1_{at}"', '"r1"').replace('"r1_0"', '"r1"').replace('"a1_0"', '"a1"')


def repeat(make, side, event, times, how):
    book = make()
    for at, text in enumerate(texts_of(event, times, how)):
        is_upstream = side is UPSTREAM
        received = (
            engine.UpstreamTextReceived(book.generation, text) if is_upstream else engine.ClientTextReceived(text)
        )
        book.relay.handle(received, 101.0 + at / 1000)
    return book.relay


HOW = ["with new ids", "in new parts", "unchanged"]


def judge(make, times, how):
    for side in (UPSTREAM, CLIENT):
        for event in third(side, STATES.index(make) + HOW.index(how)):
            found = sizes(repeat(make, side, event, times, how))
            assert {place: size for place, size in found.items() if size > MOST_OF.get(place, MOST)} == {}, event


@pytest.mark.parametrize(
    ("make", "how"),
    [*((make, HOW[0]) for make in STATES), (answering, HOW[1]), (answering, HOW[2]), (continued, HOW[2])],
)
def test_no_event_fills_a_container_of_the_relay_without_a_bound(make, how):
    judge(make, FEW, how)


@pytest.mark.exhaustive
@pytest.mark.parametrize("make", STATES)
@pytest.mark.parametrize("how", HOW)
def test_no_event_fills_a_container_of_the_relay_however_often_it_comes(make, how):
    judge(make, MANY, how)


@pytest.mark.exhaustive
@pytest.mark.parametrize("make", [ready, answering, calling, lost])
@pytest.mark.parametrize("how", HOW)
def test_no_long_event_fills_the_memory_of_the_relay(make, how):
    for side in (UPSTREAM, CLIENT):
        for event in side:
            found = chars(repeat(make, side, long(event, LONG), LONG_TIMES, how))
            assert {place: size for place, size in found.items() if size > MOST_CHARS} == {}, event


# What is beyond the bounds.


def test_an_upstream_that_begins_too_many_responses_is_abandoned():
    book = ready()
    for at in range(MAX_RESPONSES + 1):
        book.begin(f"r{at}", conversation_id=None)
    assert [type(it) for it in book.others if isinstance(it, engine.AbandonUpstream)] == [engine.AbandonUpstream]


def test_a_client_whose_events_are_not_acknowledged_is_told():
    book = ready()
    for at in range(2_001):
        book.client("session.update", session={"type": "realtime"}, event_id=f"e{at}")
    assert [(it["error"]["code"], it["error"]["event_id"]) for it in book.sent] == [
        ("too_many_waiting_events", "e2000")
    ]
    assert len(book.upstream) == 2_000
    book.client("input_audio_buffer.append", audio="AAAA")
    assert len(book.upstream) == 2_001


def test_a_response_that_is_too_long_reaches_the_client_but_is_not_kept():
    book, words = answering(), "word " * 100_000
    book.take()
    for _ in range(MAX_CHARS // len(words) + 2):
        book.server("response.output_text.delta", **PLACE, delta=words)
    assert [len(event["delta"]) for event in book.sent] == [len(words)] * len(book.sent)
    assert len(book.sent) == MAX_CHARS // len(words) + 2
    (response,) = book.relay.context.state.responses.values()
    assert MAX_CHARS <= len(response.outputs["a1"].text) < MAX_CHARS + len(words)
    assert len([it for it in book.others if isinstance(it, engine.Log)]) == 1


def test_an_event_behind_many_long_ones_without_acknowledgement_is_refused():
    book, text = ready(), "A" * (MAX_UNANSWERED_BYTES // 3)
    for at in range(4):
        book.client("conversation.item.create", item={**USER, "id": f"i{at}", "content": [{"text": text}]})
    assert len(book.upstream) == 3
    assert [it["error"]["code"] for it in book.sent] == ["too_many_waiting_events"]
