"""The upstream's events."""

import pytest

from actors import messages as engine
from actors.restart import LossKind
from router.fronts.realtime.relay import Timer
from router.session.reports import MAX_LIMITS, RateLimitLeft, RateLimitsLeft
from tests.support.machine.realtime_book import AUDIO_SESSION, RealtimeBook, message

ERROR = {"type": "server_error", "code": None, "message": "sorry", "param": None, "event_id": None}


@pytest.fixture
def book():
    return RealtimeBook().ready(**AUDIO_SESSION)


def abandoned(book):
    return [it.loss for it in book.others if isinstance(it, engine.AbandonUpstream)]


def reported(book):
    facts = [it.notification for it in book.others if isinstance(it, engine.Notify)]
    return [it for it in facts if isinstance(it, RateLimitsLeft)]


def speak(book, name="s1"):
    book.client("input_audio_buffer.append", audio="A" * 6400)
    book.server("input_audio_buffer.speech_started", audio_start_ms=100, item_id=name)
    book.server("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id=name)
    return book.server("input_audio_buffer.committed", item_id=name, previous_item_id=None)


def spoken(name, transcript=None):
    content = [{"type": "input_audio", "transcript": transcript}]
    return {"id": name, "type": "message", "role": "user", "content": content}


def test_rate_limits_are_reported_for_the_upstream_in_use_and_passed_on(book):
    limit = {"name": "tokens", "limit": 100, "remaining": 0, "reset_seconds": 9.5}
    book.server("rate_limits.updated", rate_limits=[limit] * 20)
    (fact,) = reported(book)
    assert fact.position == 0
    assert fact.limits == (RateLimitLeft(name="tokens", limit=100, left=0, reset_s=9.5),) * MAX_LIMITS
    assert book.kinds() == ["rate_limits.updated"]


def test_unreadable_rate_limits_pass_and_are_not_reported(book):
    book.server("rate_limits.updated", rate_limits="many")
    assert reported(book) == []
    assert book.kinds() == ["rate_limits.updated"]


# Errors.


def test_an_error_that_answers_no_event_waits_for_the_close_that_may_follow(book):
    book.server("error", error=ERROR)
    assert book.take()[0] == []
    book.fire(Timer.ERROR)
    assert book.kinds() == ["error"]


def test_an_error_is_delivered_before_the_next_event(book):
    book.server("error", error=ERROR).server("future.thing")
    assert book.kinds() == ["error", "future.thing"]


def test_an_error_that_a_close_follows_is_not_delivered(book):
    book.server("error", error=ERROR).lose().open(**AUDIO_SESSION)
    assert "error" not in book.kinds()


@pytest.mark.parametrize(("code", "is_fatal"), [("session_expired", False), ("insufficient_quota", True)])
def test_an_upstream_that_refuses_to_continue_is_abandoned(book, code, is_fatal):
    book.server("error", error={**ERROR, "code": code})
    (loss,) = abandoned(book)
    assert (loss.kind, loss.is_fatal) == (LossKind.REFUSED, is_fatal)
    assert book.take()[0] == []


def test_an_upstream_that_refuses_the_client_s_configuration_is_abandoned(book):
    book.client("session.update", session={"instructions": "1"}).server("session.updated", session={}).lose().take()
    book.feed(engine.UpstreamOpened(2, 0, 0.0)).server("session.created", session={})
    event_id = book.take()[1][0]["event_id"]
    book.server("error", error={**ERROR, "code": "invalid_value", "event_id": event_id})
    assert [loss.kind for loss in abandoned(book)] == [LossKind.REFUSED]


def test_an_item_that_another_upstream_refuses_is_no_error_for_the_client(book):
    book.ask().begin().write("One").finish("One").lose().take()
    event_id = book.open(**AUDIO_SESSION).take()[1][0]["event_id"]
    book.server("error", error={**ERROR, "code": "invalid_value", "event_id": event_id})
    book.fire(Timer.ERROR)
    assert book.take()[0] == []


def test_a_request_for_which_another_response_was_taken_is_refused_without_the_router_s_id(book):
    book.client("response.create").begin()
    given = book.take()[1][0]["event_id"]
    code = "conversation_already_has_active_response"
    book.server("error", error={**ERROR, "code": code, "event_id": given})
    assert book.take()[0][0]["error"]["event_id"] is None
    assert book.relay.context.active.request is None


# Speech.


def test_the_upstream_owes_an_answer_to_speech_and_is_asked_for_it_again(book):
    speak(book).server("conversation.item.added", item=spoken("s1")).server("conversation.item.done", item=spoken("s1"))
    kind = "conversation.item.input_audio_transcription.completed"
    book.server(kind, item_id="s1", content_index=0, transcript="hello").lose().take()
    upstream = book.open(**AUDIO_SESSION).take()[1]
    assert [event["type"] for event in upstream] == ["conversation.item.create", "response.create"]
    assert upstream[0]["item"]["content"] == [{"type": "input_text", "text": "hello"}]


def test_speech_without_a_transcript_is_created_again_as_audio_and_its_transcript_has_failed(book):
    speak(book).take()
    book.lose()
    sent = book.take()[0]
    assert [event["type"].rpartition(".")[2] for event in sent] == ["added", "done", "failed"]
    assert sent[0]["item"]["id"] == "s1"
    item = book.open(**AUDIO_SESSION).take()[1][0]["item"]
    assert item["content"] == [{"type": "input_audio", "audio": "A" * 6400}]


def test_speech_under_way_is_heard_again_under_the_id_that_the_client_knows(book):
    book.client("input_audio_buffer.append", audio="A" * 64000)
    book.server("input_audio_buffer.speech_started", audio_start_ms=100, item_id="s1").take()
    book.lose().open(**AUDIO_SESSION)
    assert [event["type"] for event in book.take()[1]] == ["input_audio_buffer.append"]
    book.server("input_audio_buffer.speech_started", audio_start_ms=100, item_id="t1")
    assert book.take()[0] == [], "the client knows that the user speaks"
    book.server("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="t1")
    book.server("input_audio_buffer.committed", item_id="t1", previous_item_id=None)
    book.server("conversation.item.added", previous_item_id=None, item=spoken("t1"))
    assert {event.get("item_id", event.get("item", {}).get("id")) for event in book.take()[0]} == {"s1"}


def test_times_of_speech_count_from_the_first_byte_of_the_session(book):
    for _ in range(50):
        book.now_s += 10
        book.client("input_audio_buffer.append", audio="A" * 6400)
    book.lose().open(**AUDIO_SESSION).take()
    book.server("input_audio_buffer.speech_started", audio_start_ms=1100, item_id="s1")
    assert book.take()[0][0]["audio_start_ms"] == 5100


def test_a_commit_of_the_client_s_owes_no_answer(book):
    book.client("input_audio_buffer.append", audio="A" * 6400).client("input_audio_buffer.commit")
    book.server("input_audio_buffer.committed", item_id="s1", previous_item_id=None).lose().take()
    assert [event["type"] for event in book.open(**AUDIO_SESSION).take()[1]] == ["conversation.item.create"]


# The conversation.


def test_a_previous_item_is_one_that_the_client_knows(book):
    book.ask().begin().write("One").lose().open(**AUDIO_SESSION)
    book.begin("r2").take()
    item = message("a2", "assistant", status="in_progress")
    book.server("response.output_item.added", response_id="r2", output_index=0, item=item)
    book.server("conversation.item.added", previous_item_id="q1", item=item)
    assert book.take()[0][-1]["previous_item_id"] == "a1", "the answer that was cut is the last item of the client's"


def test_an_item_at_the_beginning_stays_there_with_every_upstream(book):
    book.ask().begin().write("One").finish("One").take()
    for generation, name in enumerate(("before", "first")):
        book.client("conversation.item.create", previous_item_id="root", item=message(name, "user", name)).take()
        book.acknowledge(message(name, "user", name))
        assert [event["previous_item_id"] for event in book.take()[0]] == [None, None]
        again = [event["item"] for event in book.lose().open(**AUDIO_SESSION).take()[1]]
        assert [item["id"] for item in again] == [*("first", "before")[1 - generation :], "q1", "a1"]
        for item in again:
            book.acknowledge(item)


def test_an_upstream_that_gives_an_item_another_id_has_acknowledged_it(book):
    book.client("conversation.item.create", item=message("mine", "user", "hello")).take()
    book.acknowledge(message("theirs", "user", "hello"))
    assert [event["item"]["id"] for event in book.take()[0]] == ["theirs", "theirs"]
    assert [event["item"]["id"] for event in book.lose().open(**AUDIO_SESSION).take()[1]] == ["theirs"]


def test_ids_of_events_are_unique_over_all_upstreams(book):
    book.server("future.thing", event_id="e1")
    book.lose().open(**AUDIO_SESSION).server("future.thing", event_id="e1").server("future.thing", event_id=None)
    ids = [event["event_id"] for event in book.take()[0]]
    assert len(ids) == len(set(ids)) == 3
    assert ids[0] == "e1"


def test_the_session_keeps_its_id(book):
    book.lose().open(**AUDIO_SESSION).take()
    book.client("session.update", session={"instructions": "1"}).server("session.updated", session={"id": "sess_2"})
    assert book.take()[0][0]["session"]["id"] == "sess_1"


def test_a_conversation_is_announced_once(book):
    book.server("conversation.created", conversation={"id": "c1"})
    book.lose().open(**AUDIO_SESSION).server("conversation.created", conversation={"id": "c2"})
    assert book.kinds().count("conversation.created") == 1


def test_cleared_speech_is_committed_no_more_and_its_upstream_stays():
    book = RealtimeBook().ready(**AUDIO_SESSION)
    book.server("input_audio_buffer.speech_started", item_id="s1", audio_start_ms=0)
    book.server("input_audio_buffer.speech_stopped", item_id="s1", audio_end_ms=9)
    book.take()
    book.client("input_audio_buffer.clear").server("input_audio_buffer.cleared")
    assert engine.CancelTimer(Timer.COMMIT.value) in book.others
