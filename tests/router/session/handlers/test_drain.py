"""The drain of a session whose process is about to end."""

import base64

import pytest

from actors import messages
from actors.restart import Loss, LossKind
from router.session.context import REPORT_S
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    APPLIED,
    AUDIO_DONE,
    DONE,
    SETTINGS,
    STARTED,
    Playbook,
    assistant,
    call_done,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
    transcribed,
    user,
)

WARNING = {
    "type": "Warning",
    "description": "the server is going away: the turn in progress is finished, then connect again",
    "code": "SERVER_GOING_AWAY",
}

DRAIN_S = 30.0
QUESTION = {"type": "InjectUserMessage", "content": "hello"}
CREATED = {"type": "session.created", "session": {}}
UPDATED = {"type": "session.updated", "session": {}}
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}
SECOND = b"\0\0" * 24000
AUDIO = {
    "type": "response.output_audio.delta",
    "response_id": "resp_1",
    "item_id": "item_1",
    "delta": base64.b64encode(SECOND).decode(),
}

ANSWER = (STARTED, assistant("Hello."), AUDIO_DONE, DONE)


def drain(book, deadline_s=DRAIN_S):
    return book.feed(messages.DrainBegan(deadline_s))


def assert_ended(book, *to_client, linger_s=DRAIN_S):
    """Assert that the client received these frames, and is closed."""
    assert book.frames_to_client == list(to_client)
    assert book.ending == messages.EndSession(1012, "SERVER_GOING_AWAY", linger_s)
    assert book.commands[-1] is book.ending


def asked(book):
    """Ask a question that the upstream acknowledges, so that a response is requested."""
    book.client(QUESTION).upstream(item_added(book.events_to_upstream[-1]["item"]["id"]))
    return book.forget()


def answered(book):
    return book.upstream(response_created(), text_done("Hello."), response_done())


# No work in progress.


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_idle_session_stays_until_a_second_drain_where_the_first_one_says_so(profile):
    book = Playbook(profile).ready().feed(messages.DrainBegan(DRAIN_S, keeps_idle=True))
    assert (book.frames_to_client, book.ending) == ([WARNING], None)
    drain(asked(book), 20.0)
    assert book.ending is None
    answered(book)
    assert book.ending is not None


def test_a_question_of_a_session_that_stays_is_answered_and_the_session_stays_on():
    book = Playbook().ready().feed(messages.DrainBegan(DRAIN_S, keeps_idle=True)).forget()
    answered(asked(book))
    assert book.ending is None
    assert_ended(drain(book.forget(), 20.0), linger_s=20.0)


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_idle_client_is_warned_and_closed_at_once(profile):
    assert_ended(drain(Playbook(profile).ready()), WARNING)


def test_a_session_without_settings_ends_at_once():
    assert_ended(drain(Playbook().opened()), WARNING)
    assert_ended(drain(Playbook().opened().client(QUESTION).forget()), WARNING)


def test_an_upstream_that_is_not_ready_is_not_waited_for():
    assert_ended(drain(Playbook().opened().client(SETTINGS).forget()), WARNING)
    assert_ended(drain(Playbook().opened().client(SETTINGS).upstream(CREATED).forget()), WARNING)


def test_a_client_that_was_accepted_as_the_drain_began_is_warned_and_closed_at_once():
    book = drain(Playbook())
    assert_ended(book, WARNING)
    assert book.forget().feed(messages.ClientOpened()).commands == []


def test_a_turn_that_is_over_is_not_waited_for():
    assert_ended(drain(answered(asked(Playbook().ready())).forget()), WARNING)


# Work in progress.


def test_an_answer_is_delivered_whole_before_the_session_ends():
    book = asked(Playbook().ready()).upstream(response_created()).forget()
    drain(book).expect(WARNING)
    book.upstream(text_done("Hello.")).expect(STARTED, assistant("Hello."))
    book.upstream(response_done())
    assert_ended(book, AUDIO_DONE, DONE)


def test_the_caller_hears_an_answer_to_its_end():
    book = asked(Playbook().ready()).upstream(response_created(), text_done("Hello.")).forget()
    drain(book).expect(WARNING)
    book.upstream(AUDIO, AUDIO, response_done()).expect(SECOND, SECOND, AUDIO_DONE, DONE)
    assert book.timers[Wait.PLAYBACK.value] == 2
    assert_ended(book.after(2).fire(Wait.PLAYBACK), linger_s=28)


def test_waiting_audio_is_sent_before_the_session_ends():
    book = asked(Playbook(audio_ahead_s=1.0).ready()).upstream(response_created(), text_done("Hello.")).forget()
    drain(book).expect(WARNING)
    book.upstream(AUDIO, AUDIO, AUDIO, response_done()).expect(SECOND, SECOND)
    book.after(1).fire(Wait.PLAYBACK).expect(SECOND, AUDIO_DONE, DONE)
    assert_ended(book.after(2).fire(Wait.PLAYBACK), linger_s=27)


def test_the_client_may_use_the_rest_of_the_time_to_read_the_answer():
    book = asked(Playbook().ready())
    drain(book).expect(WARNING)
    assert_ended(answered(book.after(10)), *ANSWER, linger_s=20)


def test_a_question_on_its_way_upstream_is_answered():
    book = Playbook().ready().client(QUESTION)
    item_id = book.events_to_upstream[-1]["item"]["id"]
    drain(book.forget()).expect(WARNING)
    book.upstream(item_added(item_id)).expect(upstream=[{"type": "response.create"}])
    assert_ended(answered(book), *ANSWER)


def test_a_question_that_came_before_the_upstream_was_ready_is_answered():
    book = Playbook().opened().client(SETTINGS, QUESTION).forget()
    drain(book).expect(WARNING)
    book.upstream(CREATED, UPDATED)
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.expect(APPLIED, upstream=[{"type": "session.update"}, {"type": "conversation.item.create"}])
    assert_ended(answered(book.upstream(item_added(item_id)).forget()), *ANSWER)


def test_a_question_during_the_drain_is_answered_too():
    book = asked(Playbook().ready())
    drain(book).forget()
    book.client(QUESTION)
    item_id = book.events_to_upstream[-1]["item"]["id"]
    answered(book.forget()).expect(*ANSWER)
    book.upstream(item_added(item_id)).expect(upstream=[{"type": "response.create"}])
    book.upstream(response_created("resp_2"), text_done("Again.", "item_2"), response_done("resp_2"))
    assert_ended(book, STARTED, assistant("Again."), AUDIO_DONE, DONE)


def test_a_user_who_speaks_may_finish_and_is_answered():
    book = Playbook("converse").ready().upstream(SPEECH_STARTED).forget()
    drain(book).expect(WARNING)
    answered(book.upstream(COMMITTED)).forget()
    book.upstream(transcribed("hello"))
    assert book.frames_to_client[:2] == [user("hello"), assistant("Hello.")]
    assert book.commands[-1] is book.ending


def test_the_answer_to_a_noise_is_not_waited_for():
    book = drain(Playbook().ready().upstream(SPEECH_STARTED)).upstream(COMMITTED).forget()
    assert_ended(book.upstream(transcribed(" ")))


def test_speech_that_a_pause_ends_is_waited_for():
    book = Playbook(turn_detection="manual").ready().client(b"\0\0" * 4800).forget()
    drain(book).expect(WARNING)
    book.fire(Wait.MANUAL_COMMIT).forget()
    assert_ended(answered(book), *ANSWER)


def test_a_function_call_and_its_follow_up_are_waited_for():
    book = asked(Playbook().ready(settings(think={"functions": [{"name": "lookup"}]})))
    book.upstream(response_created(), call_done(), response_done()).forget()
    drain(book).expect(WARNING)
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    assert book.ending is None
    assert_ended(answered(book.forget()), *ANSWER)


def test_a_restart_with_an_open_question_is_waited_for():
    book = asked(Playbook().ready()).upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000)).forget()
    drain(book).expect(WARNING)
    book.restarted(upstream=[{"type": "conversation.item.create"}])


# Time.


def test_a_session_that_exceeds_its_time_is_cut_off_with_an_error():
    book = drain(asked(Playbook().ready()).upstream(response_created())).forget()
    assert book.timers[Wait.DRAIN.value] == DRAIN_S
    book.fire(Wait.DRAIN)
    (error,) = book.frames_to_client
    assert (error["type"], error["code"]) == ("Error", "SERVER_GOING_AWAY")
    assert [event["type"] for event in book.events_to_upstream] == ["response.cancel"]
    assert book.ending == messages.EndSession(1012, "SERVER_GOING_AWAY", report_s=REPORT_S)


def test_a_second_drain_shortens_the_time_without_another_warning():
    book = drain(asked(Playbook().ready())).forget()
    drain(book.after(1), 5).expect()
    assert book.timers[Wait.DRAIN.value] == 5
    drain(book.after(1), 60).expect()
    assert book.timers[Wait.DRAIN.value] == 4
