"""Responses: one at a time, from the request to the end."""

import pytest

from actors import messages
from actors.restart import Loss, LossKind
from router.session.deadlines import Wait
from router.session.handlers.responses import UNASKED_S
from router.session.state.turn import MAX_UNASKED
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
    settings,
    text_done,
    transcribed,
)
from tests.support.machine.timed_playbook import (
    TimedPlaybook,
    committed,
    created,
    output_item,
    started,
    stopped,
)

SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
SPEECH_STOPPED = {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}
CREATE = {"type": "response.create"}
UPDATED = {"type": "session.updated", "session": {}}
PROMPT = {"type": "UpdatePrompt", "prompt": "Speak French."}


# The request.


def test_no_response_is_requested_while_one_is_active():
    book = answering()
    book.upstream(item_added(ask(book, "and?"))).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=[CREATE])


def test_a_response_that_the_upstream_began_by_itself_is_waited_for():
    book = Playbook().ready().upstream(response_created("vad"))
    book.upstream(item_added(ask(book))).expect()
    book.upstream(response_done("vad")).expect(AUDIO_DONE, DONE, upstream=[CREATE])


def test_no_response_is_requested_while_the_user_speaks_or_awaits_an_answer():
    book = Playbook().ready().upstream(SPEECH_STARTED).client({"type": "InjectUserMessage", "content": "Also:"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()
    book.upstream(SPEECH_STOPPED, COMMITTED).expect({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.9})
    book.upstream(response_created()).upstream(response_done()).expect(AUDIO_DONE, DONE)


def test_a_response_waits_for_the_updates_that_were_requested_before_it():
    book = Playbook().ready().client(PROMPT, {"type": "InjectUserMessage", "content": "hello"})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget().upstream(item_added(item_id)).expect()
    book.upstream(UPDATED).expect({"type": "PromptUpdated"}, upstream=[{"type": "response.create"}])


def test_an_unknown_active_response_is_waited_for_and_its_error_absorbed():
    book = Playbook().ready()
    book.upstream(item_added(ask(book))).expect(upstream=[CREATE])
    book.upstream(error("conversation_already_has_active_response")).expect()
    book.upstream(response_done("theirs")).expect(AUDIO_DONE, DONE, upstream=[CREATE])


def test_an_active_response_that_delayed_an_earlier_question_does_not_delay_a_later_one():
    book = Playbook().ready()
    book.upstream(item_added(ask(book)), error("conversation_already_has_active_response", event_id="earlier")).forget()
    book.upstream(response_created(), text_done("Hi."), response_done()).expect(
        STARTED, assistant("Hi."), AUDIO_DONE, DONE
    )


def test_a_response_that_is_refused_ends_the_turn():
    book = Playbook().ready()
    book.upstream(item_added(ask(book)))
    event_id = book.events_to_upstream[0]["event_id"]
    book.forget().upstream(error("invalid_value", "no", event_id=event_id))
    book.expect({"type": "Error", "description": "no", "code": "invalid_value"}, AUDIO_DONE, DONE)
    book.upstream(item_added(ask(book))).expect(upstream=[CREATE])


def test_an_upstream_that_never_answers_is_abandoned():
    book = Playbook().ready()
    book.upstream(item_added(ask(book))).forget().fire(Wait.FIRST_EVENT)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause="first_event"))]


# The response.


@pytest.mark.parametrize("wait", [Wait.NEXT_EVENT, Wait.RESPONSE])
def test_an_upstream_that_falls_silent_in_an_answer_is_abandoned(wait):
    book = answering().fire(wait)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause=wait.value))]


def test_a_numbered_response_is_played_although_an_earlier_one_of_that_number_was_interrupted():
    book = answering().upstream(delta(b"\1\1"), SPEECH_STARTED, COMMITTED, response_done()).forget()
    book.upstream(response_created(), delta(b"\2\2")).expect(STARTED, b"\2\2")


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


# The end.


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


# Responses that nobody asked for.


def begun_unasked(pause_s):
    """Return a session whose upstream began and ended as many responses by itself as may be remembered."""
    book = Playbook("converse").ready()
    for at in range(MAX_UNASKED):
        book.after(pause_s).upstream(response_created(f"own_{at}"), response_done(f"own_{at}"))
    return book


def abandoned(book):
    return [command for command in book.commands if isinstance(command, messages.AbandonUpstream)]


def test_an_upstream_that_begins_one_response_after_the_other_by_itself_is_abandoned():
    (command,) = abandoned(begun_unasked(UNASKED_S / MAX_UNASKED - 0.01))
    assert command.loss.kind is LossKind.MALFORMED


def test_an_upstream_that_speaks_by_itself_now_and_then_is_kept():
    assert not abandoned(begun_unasked(UNASKED_S / (MAX_UNASKED - 1) + 0.01))


def test_a_response_of_the_upstream_s_own_restores_no_restart_budget():
    book = Playbook("converse").ready().upstream(response_created(), text_done("Hello?"), response_done())
    assert not [command for command in book.commands if isinstance(command, messages.ResetRestartBudget)]


# The response to a doubtful request.

FUNCTIONS = settings(think={"provider": {"type": "open_ai"}, "functions": [{"name": "lookup"}]})
WHOLE = {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "At noon."}]}
LONG_S = 60.0


def doubtful():
    """Have the upstream begin a response while it owes an answer to speech, too: no metadata tells whose it is."""
    book = TimedPlaybook().ready(FUNCTIONS).upstream(started("u1")).types("When?").upstream(stopped("u1"))
    book.fire(Wait.COMMIT).upstream(committed("u1"), transcribed("And where?", "u1"))
    return book.upstream(created("resp_v", None))


def with_output():
    """Let that response call a function, and request the answer to its output."""
    book = doubtful().upstream(call_done(response_id="resp_v"))
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}).ends("resp_v")
    assert len(book.asked()) == 2
    return book


def announced(book):
    return book.upstream(created("resp_1", None)).says("At noon.", 0.1).ends()


def unannounced(book):
    return book.upstream(output_item("resp_1", "item_1")).says("At noon.", 0.1).ends()


def whole_text(book):
    said = {"response_id": "resp_1", "item_id": "item_1", "transcript": "At noon."}
    return book.upstream({"type": "response.output_audio_transcript.done", **said}).ends()


def whole_item(book):
    return book.upstream({"type": "conversation.item.done", "item": {"id": "item_1", **WHOLE}}).ends()


def again(book):
    return book.upstream(created("resp_2", None)).says("Here.", response_id="resp_2", item_id="item_2").ends("resp_2")


@pytest.mark.parametrize("is_acknowledged", [False, True])
@pytest.mark.parametrize("answers", [announced, unannounced, whole_text, whole_item])
def test_the_response_to_a_doubtful_request_does_not_answer_the_output_behind_it(answers, is_acknowledged):
    book = with_output()
    book = answers(book.acknowledge() if is_acknowledged and answers is not announced else book)
    assert book.texts() == ["At noon."]
    assert Wait.FIRST_EVENT.value in book.timers
    assert again(book.acknowledge()).run(LONG_S).texts() == ["At noon.", "Here."]
    assert book.losses() == []
    assert len(book.asked()) == 2


@pytest.mark.parametrize("answers", [announced, unannounced, whole_text, whole_item])
def test_an_output_behind_a_doubtful_request_is_answered_by_the_next_upstream_if_this_one_is_silent(answers):
    book = answers(with_output())
    begin = book.here
    assert book.run(LONG_S).losses() == ["first_event"]
    book.restarted_after()
    assert len(book.run(1.0).asked(since=begin)) == 1


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_the_mere_end_of_the_response_to_a_doubtful_request_leaves_the_request_behind_it_in_flight(status):
    book = with_output().acknowledge().ends("resp_1", status)
    assert Wait.FIRST_EVENT.value in book.timers
    assert again(book).run(LONG_S).texts() == ["Here."]
    assert book.losses() == []
    assert len(book.asked()) == 2


def test_a_response_behind_the_acknowledgement_of_an_output_answers_it():
    assert announced(with_output().acknowledge()).run(LONG_S).losses() == []


def test_the_response_to_a_doubtful_request_may_call_a_function_without_an_announcement():
    book = with_output().upstream(call_done("call_2"))
    book.client({"type": "FunctionCallResponse", "id": "call_2", "name": "lookup", "content": "43"})
    assert len(book.asked()) == 2
    assert Wait.FIRST_EVENT.value in book.timers
    assert len(again(book.acknowledge()).asked()) == 3


@pytest.mark.parametrize("answers", [announced, unannounced])
def test_a_request_is_doubtful_until_a_response_that_nothing_else_asked_for(answers):
    book = answers(doubtful().says("Here.", response_id="resp_v", item_id="item_v").ends("resp_v")).types("And then?")
    book.says("Later.", response_id="resp_2", item_id="item_2").run(LONG_S)
    assert book.texts() == ["Here.", "At noon.", "Later."]
    assert book.losses() == []
