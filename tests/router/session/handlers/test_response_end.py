"""Responses end: by response.done, or without an announcement."""

import pytest

from router.session.deadlines import Wait
from tests.support.machine.beginnings import answering, ask
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    STARTED,
    THINKING,
    Playbook,
    assistant,
    call_done,
    delta,
    error,
    item_added,
    response_created,
    response_done,
    text_done,
)

SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
SPEECH_STOPPED = {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}
CREATE = {"type": "response.create"}


def test_an_upstream_that_announces_no_response_ends_it_with_its_text():
    book = Playbook().ready()
    book.upstream(item_added(ask(book))).forget()
    book.upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
    book.upstream(response_done()).expect()
    book.upstream(item_added(ask(book))).expect(upstream=[CREATE])


def called(count=1, *events):
    """Return a session whose question was answered with these events, and with calls."""
    book = Playbook().ready()
    book.upstream(item_added(ask(book)), *events, *(call_done(f"c{number}", "look") for number in range(count)))
    return book.forget()


def answer(call_id):
    return {"type": "FunctionCallResponse", "id": call_id, "name": "look", "content": "seen"}


def output(call_id):
    item = {"id": ANY, "type": "function_call_output", "call_id": call_id, "output": "seen"}
    return {"type": "conversation.item.create", "event_id": ANY, "item": item}


def test_an_upstream_that_announces_no_response_ends_it_with_the_outputs_of_its_calls():
    book = called(2)
    book.client(answer("c0")).expect(THINKING, upstream=[output("c0")])
    book.client(answer("c1")).expect(THINKING, upstream=[output("c1"), CREATE])
    assert set(book.timers) == {"first_event", "rollover"}
    book.upstream(text_done("Seen.")).expect(STARTED, assistant("Seen."), AUDIO_DONE, DONE)


@pytest.mark.parametrize("response_id", ["resp_1", None])
def test_the_late_end_of_a_response_that_its_calls_ended_does_not_end_the_next_one(response_id):
    late = response_done()
    late["response"]["id"] = response_id
    book = called()
    book.client(answer("c0")).forget()
    book.upstream(late).expect()
    assert "first_event" in book.timers
    book.upstream(text_done("Seen.")).expect(STARTED, assistant("Seen."), AUDIO_DONE, DONE)


def said(text, response_id=None, item_id="item_1"):
    """Make an item with a whole text, and with a response's id if one is given: the end of an unannounced response."""
    if response_id is not None:
        return {"type": "response.output_text.done", "response_id": response_id, "item_id": item_id, "text": text}
    content = [{"type": "output_text", "text": text}]
    item = {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": content}
    return {"type": "conversation.item.done", "item": item}


def ended(response_id, status="completed"):
    return {"type": "response.done", "response": {"id": response_id, "status": status}}


def requested_behind(*events):
    """Return a session whose question was answered with these events, and that has requested another answer."""
    book = Playbook().ready()
    book.upstream(item_added(ask(book)), *events)
    book.upstream(item_added(ask(book)))
    assert book.session.state.turn.response.name == "REQUESTED"
    return book.forget()


@pytest.mark.parametrize("late_id", ["resp_1", None])
@pytest.mark.parametrize(
    "events",
    [
        [said("Hi.", "resp_1")],
        [said("Hi.")],
        [delta(bytes(4800), "resp_1"), said("Hi.", "resp_1")],
    ],
)
def test_the_late_end_of_a_response_that_its_text_ended_does_not_end_the_next_one(events, late_id):
    book = requested_behind(*events)
    book.upstream(ended(late_id)).expect()
    assert "first_event" in book.timers
    book.upstream(said("Seen.", "resp_2", "item_2")).expect(STARTED, assistant("Seen."), AUDIO_DONE, DONE)


def test_the_late_end_of_a_response_without_an_id_does_not_end_the_next_one_although_its_output_has_come():
    book = requested_behind(said("Hi."))
    words = {"type": "response.output_text.delta", "response_id": "resp_2", "item_id": "item_2", "delta": "Seen"}
    book.upstream(words, ended("resp_1")).expect(STARTED)
    book.upstream(ended("resp_2")).expect(AUDIO_DONE, DONE)


@pytest.mark.parametrize("kind", ["words", "call"])
def test_a_late_end_without_an_id_does_not_end_the_next_response_before_its_whole_text(kind):
    book = requested_behind(said("Hi."))
    if kind == "words":
        book.upstream({"type": "response.output_text.delta", "item_id": "item_2", "delta": "Seen"}).forget()
        book.upstream(ended(None)).expect()
        book.upstream(ended(None, "incomplete"))
        assert AUDIO_DONE in book.frames_to_client
    else:
        book.upstream(call_done("c0", "look")).forget()
        book.upstream(ended(None)).expect()
        book.client(answer("c0")).expect(THINKING, upstream=[output("c0"), CREATE])


@pytest.mark.parametrize("first", [said("Hi.", "resp_1"), said("Hi.")])
def test_an_empty_response_ends_behind_one_whose_end_has_come(first):
    book = requested_behind(first, ended("resp_1"))
    book.upstream(ended("resp_2")).expect(AUDIO_DONE, DONE)
    assert set(book.timers) == {"rollover"}


@pytest.mark.parametrize(("first", "status"), [(said("Hi.", "resp_1"), "completed"), (said("Hi."), "failed")])
def test_a_response_ends_without_output_although_the_end_of_the_one_before_it_may_still_come(first, status):
    book = requested_behind(first)
    book.upstream(ended("resp_2", status))
    assert "first_event" not in book.timers


@pytest.mark.parametrize("first", [said("Hi.", "resp_1"), said("Hi.")])
def test_an_upstream_that_still_has_the_response_of_a_whole_text_active_is_asked_again(first):
    book = requested_behind(first)
    book.upstream(error("conversation_already_has_active_response")).expect()
    book.upstream(ended("resp_1")).expect(upstream=[CREATE])
    book.upstream(ended("resp_2")).expect(AUDIO_DONE, DONE)


def test_an_upstream_that_still_has_the_response_of_a_call_active_is_asked_again():
    book = called()
    book.client(answer("c0")).forget()
    book.upstream(error("conversation_already_has_active_response")).expect()
    book.upstream(response_done()).expect(upstream=[CREATE])


def test_an_unasked_call_does_not_end_the_response_that_another_request_meets():
    book = Playbook().ready()
    book.upstream({key: value for key, value in call_done("c0", "look").items() if key != "response_id"})
    book.client(answer("c0")).forget()
    book.upstream(error("conversation_already_has_active_response")).expect()
    book.upstream(response_done()).expect(upstream=[CREATE])


def test_the_answer_to_speech_is_played_behind_an_unannounced_call_that_it_interrupted():
    book = Playbook().ready()
    book.upstream(item_added(ask(book))).upstream(call_done(), SPEECH_STARTED, SPEECH_STOPPED, COMMITTED).forget()
    book.upstream(response_created("resp_2"), {**delta(b"\1\1"), "response_id": "resp_2"})
    assert b"\1\1" in book.frames_to_client


def test_an_unannounced_call_that_speech_cancels_ends_its_response():
    book = called().upstream(SPEECH_STARTED).forget()
    assert "next_event" not in book.timers
    book.upstream({"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "a", "delta": "Late."})
    book.upstream(response_done(status="cancelled")).expect()
    assert "next_event" not in book.timers
    book.fire(Wait.SPEECH).expect(upstream=[CREATE])
    book.upstream(response_created("resp_2"), delta(b"\1\1", "resp_2"), response_done("resp_2"))
    book.expect(STARTED, b"\1\1", AUDIO_DONE, DONE)


def test_a_text_in_progress_keeps_an_unannounced_response_from_its_end():
    begun = {"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "a", "delta": "Let me"}
    book = called(1, begun)
    book.client(answer("c0")).expect(THINKING, upstream=[output("c0")])
    book.upstream(text_done("Let me look.", item_id="a")).expect(assistant("Let me look."), upstream=[CREATE])


def test_an_announced_response_ends_with_its_own_end_and_not_with_the_outputs_of_its_calls():
    book = called(1, response_created())
    book.client(answer("c0")).expect(THINKING, upstream=[output("c0")])
    book.upstream(response_done()).expect(upstream=[CREATE])


def test_an_unannounced_call_whose_output_the_client_sends_as_it_is_ends_its_response():
    book = called()
    item = {"type": "function_call_output", "call_id": "c0", "output": "seen"}
    book.client({"type": "conversation.item.create", "item": item}, CREATE)
    assert [it["type"] for it in book.events_to_upstream[-2:]] == ["conversation.item.create", "response.create"]


@pytest.mark.parametrize("kind", ["conversation.item.done", "conversation.item.added"])
def test_an_upstream_that_announces_no_response_ends_it_with_its_item(kind):
    item = {"id": "a", "type": "message", "role": "assistant", "status": "completed"}
    item |= {"content": [{"type": "output_text", "text": "Hi."}]}
    book = Playbook().ready()
    book.upstream(item_added(ask(book))).forget()
    if kind == "conversation.item.done":
        book.upstream({"type": kind, "item": item}).expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
        book.upstream(text_done("Hi.", item_id="a"), response_done()).expect()
    else:
        book.upstream({"type": kind, "item": item}).expect()


def test_no_deadline_runs_between_turns():
    book = answering().upstream(text_done("Hi."), response_done())
    assert set(book.timers) == {"rollover"}


def test_status_details_may_be_a_string():
    answering().upstream(response_done(status_details="completed")).expect(AUDIO_DONE, DONE)


@pytest.mark.parametrize(
    ("status", "details", "warnings"),
    [
        ("completed", None, []),
        ("completed", "unimplemented", []),
        ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, []),
        ("cancelled", {"type": "cancelled", "reason": "client_cancelled"}, []),
        ("incomplete", {"type": "incomplete", "reason": "turn_detected"}, []),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, ["max_output_tokens"]),
        ("incomplete", {"type": "incomplete", "reason": "content_filter"}, ["content_filter"]),
        ("incomplete", {"type": "incomplete", "reason": "from_the_future"}, ["from_the_future"]),
        ("incomplete", None, ["the upstream gives no reason"]),
        ("incomplete", "content_filter", ["content_filter"]),
        (None, None, []),
        ("from_the_future", None, []),
    ],
)
@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_incomplete_answer_is_reported_before_its_turn_ends(profile, status, details, warnings):
    book = Playbook(profile).ready().upstream(response_created(), text_done("Once upon a")).forget()
    book.upstream(response_done(status=status, status_details=details))
    frames = book.frames_to_client
    expected = [{"type": "Warning", "code": "RESPONSE_INCOMPLETE", "description": ANY} for _ in warnings]
    assert frames[: len(expected) + 1] == [*expected, AUDIO_DONE]
    assert all(reason in message["description"] for reason, message in zip(warnings, frames, strict=False))


def test_an_unknown_status_is_logged_once_and_ends_the_response():
    book = Playbook("converse").ready()
    for number in range(2):
        book.upstream(response_created(f"r{number}"), response_done(f"r{number}", status="exploded"))
    assert len([line for line in book.logged if "exploded" in line]) == 1
    assert book.session.state.turn.response.name == "NONE"


# Speech that is committed while a response is active: an upstream may begin no response for it (upstream 4.3).


def test_speech_that_is_committed_during_an_answer_is_answered_after_it():
    book = Playbook().ready().upstream(SPEECH_STARTED, response_created(), COMMITTED).forget()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=[CREATE])


def test_speech_that_is_committed_during_an_answer_that_the_client_cancelled_is_answered_after_it():
    book = Playbook().ready().upstream(SPEECH_STARTED, response_created(), COMMITTED).forget()
    details = {"type": "cancelled", "reason": "client_cancelled"}
    book.upstream(response_done(status="cancelled", status_details=details))
    book.expect(AUDIO_DONE, DONE, upstream=[CREATE])


@pytest.mark.parametrize("begins", [True, False])
def test_an_upstream_answers_speech_itself_after_an_answer_that_it_cancelled(begins):
    book = Playbook().ready().upstream(SPEECH_STARTED, response_created(), COMMITTED).forget()
    details = {"type": "cancelled", "reason": "turn_detected"}
    book.upstream(response_done(status="cancelled", status_details=details)).expect(AUDIO_DONE, DONE)
    assert Wait.FIRST_EVENT.value in book.timers
    if begins:
        book.upstream(response_created("resp_2"))
        assert Wait.FIRST_EVENT.value not in book.timers
