"""The continuation of interrupted work: unanswered questions, cut answers, failed responses."""

import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.beginnings import acknowledge_last, answering, asked, restart
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    Playbook,
    assistant,
    call_done,
    delta,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    statement_created,
    transcript_delta,
    transcript_done,
    verbatim_create,
)

RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}
CREATE = {"type": "response.create"}
RESTART = Decision.RESTART


# Questions.


def test_a_question_whose_item_was_not_acknowledged_is_asked_again():
    book = Playbook().ready().client({"type": "InjectUserMessage", "content": "hello"}).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_a_later_question_is_asked_again_like_the_first():
    """The delivered text of an earlier answer does not count for this one."""
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("Hi."), response_done()).forget()
    book.client({"type": "InjectUserMessage", "content": "and?"}).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_a_question_that_a_session_s_expiry_cuts_off_is_answered():
    book = Playbook().ready().client({"type": "InjectUserMessage", "content": "hello"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]))
    event_id = book.events_to_upstream[-1]["event_id"]
    book.forget().upstream(error("session_expired", event_id=event_id))
    assert [type(command) for command in book.commands] == [messages.AbandonUpstream]
    book.forget().upstream_closes(1001, decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_a_question_during_a_cut_answer_is_answered_after_its_rest():
    book = asked().upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000)))
    book.after(2).client({"type": "InjectUserMessage", "content": "and?"})  # the caller has heard all audio so far
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()
    book.upstream_closes(decision=RESTART).expect(assistant("The answer is"), RESTARTED)
    acknowledge_last(restart(book))
    assert "instructions" in book.events_to_upstream[0]["response"]
    book.forget().upstream(response_created("r2"), transcript_done("forty two.", "i2"), response_done("r2"))
    book.expect(assistant("forty two."), AUDIO_DONE, DONE, upstream=[CREATE])


def test_a_question_while_the_rest_of_an_answer_waits_is_answered_too():
    book = asked().upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000)))
    book.upstream_closes(decision=RESTART).client({"type": "UpdatePrompt", "prompt": "Hurry."}).forget()
    book = acknowledge_last(restart(book)).forget()
    book.after(1).client({"type": "InjectUserMessage", "content": "And now?"})  # the playback is over
    book = acknowledge_last(book).forget().upstream({"type": "session.updated"})
    assert "cut off" in book.events_to_upstream[-1]["response"]["instructions"]
    book.upstream(response_created("r2")).forget().upstream(response_done("r2"))
    assert book.events_to_upstream == [{**CREATE, "event_id": ANY, "response": {"metadata": ANY}}]


def test_a_question_after_a_complete_text_is_answered():
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("Hi."))
    book.client({"type": "InjectUserMessage", "content": "and?"}).forget()
    book.upstream_closes(decision=RESTART).expect(AUDIO_DONE, DONE, RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


# Cut answers.


def test_an_answer_of_which_nothing_was_delivered_is_requested_from_its_beginning():
    book = asked().upstream(response_created(), {"type": "response.output_text.delta", "delta": "H"}).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_a_cut_answer_is_continued_and_is_one_turn():
    book = asked().upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000)))
    book.forget().upstream_closes(decision=RESTART).expect(assistant("The answer is"), RESTARTED)
    book = restart(book)
    assert [event["item"]["content"][0]["text"] for event in book.events_to_upstream] == ["hello", "The answer is"]
    acknowledge_last(book)
    (create,) = book.events_to_upstream
    assert create["response"]["instructions"] == (
        'Be brief.\n\nYour last answer was cut off after these words: "The answer is". '
        "Go on from exactly there, without repeating them."
    )
    book.forget().upstream(response_created("r2"), delta(b"\1\1", "r2"), transcript_done("forty two.", "i2"))
    book.upstream(response_done("r2")).expect(b"\1\1", assistant("forty two."), AUDIO_DONE, DONE)


def texts_of(book):
    return [frame["content"] for frame in book.frames_to_client if isinstance(frame, dict) and "content" in frame]


@pytest.mark.parametrize(
    ("option", "chosen", "is_whole"),
    [("rest", None, False), ("whole", None, True), ("rest", "whole", True), ("whole", "rest", False)],
)
def test_the_text_of_a_continued_answer_is_whole_where_the_client_wants_that(option, chosen, is_whole):
    book = Playbook(continued_text=option).ready(settings(continued_text=chosen))
    book.client({"type": "InjectUserMessage", "content": "hello"})
    acknowledge_last(book).upstream(response_created(), transcript_delta("The answer is forty two."))
    book.upstream(delta(bytes(48_000))).forget().upstream_closes(decision=RESTART)
    assert texts_of(book) == ["The answer is"]
    acknowledge_last(restart(book.forget())).forget()
    book.upstream(response_created("r2"), transcript_done("forty two, I think.", "i2"), response_done("r2"))
    assert texts_of(book) == ["The answer is forty two, I think." if is_whole else "forty two, I think."]


def test_deepgram_s_own_path_has_no_whole_text():
    book = asked(profile="converse", continued_text="whole").upstream(response_created())
    book.upstream(transcript_delta("The answer is forty two. I think."), delta(bytes(48_000))).forget()
    acknowledge_last(restart(book.upstream_closes(decision=RESTART).forget())).forget()
    book.upstream(response_created("r2"), transcript_done("forty two. I think so.", "i2"), response_done("r2"))
    assert texts_of(book) == ["forty two.", "I think so."]


def test_the_whole_text_has_all_words_of_an_answer_that_is_cut_off_twice():
    book = asked(continued_text="whole").upstream(response_created(), transcript_delta("The answer is 42, I think."))
    book.upstream(delta(bytes(48_000)), transcript_done("The answer is 42, I think."), response_done(status="failed"))
    book.fire(Wait.ASK_AGAIN).forget()
    book.upstream(response_created("r2"), transcript_delta("42, I think. Good", "i2", "r2"), delta(bytes(18_000), "r2"))
    book.forget().upstream_closes(decision=RESTART)
    book = acknowledge_last(restart(book)).forget()
    book.upstream(response_created("r3"), transcript_done("think. Good bye.", "i3"))
    assert texts_of(book) == ["The answer is 42, I think. Good bye."]


def test_the_whole_text_is_not_sent_again_where_the_client_has_it():
    book = asked(continued_text="whole").upstream(response_created(), transcript_delta("The answer is 42, I think."))
    book.upstream(delta(bytes(48_000)), transcript_done("The answer is 42, I think."), response_done(status="failed"))
    book.fire(Wait.ASK_AGAIN).forget()
    book.upstream(response_created("r2"), transcript_done("42, I think.", "i2"))
    assert texts_of(book) == []


def test_a_cut_answer_is_not_continued_with_interrupted_answer_stop():
    book = asked(interrupted_answer="stop")
    book.upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000))).forget()
    book.upstream_closes(decision=RESTART).expect(assistant("The answer is"), AUDIO_DONE, DONE, RESTARTED)
    acknowledge_last(restart(book)).expect()


def test_an_answer_of_which_only_the_end_is_missing_is_not_requested_again():
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("Hi.")).forget()
    book.upstream_closes(decision=RESTART).expect(AUDIO_DONE, DONE, RESTARTED)
    acknowledge_last(restart(book)).expect()


def test_a_message_that_was_queued_behind_a_cut_answer_follows_its_rest():
    book = asked().upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000)))
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "queue"})
    book.upstream_closes(decision=RESTART).forget()
    restart(book)
    assert "response.create" not in [event["type"] for event in book.events_to_upstream]
    book = acknowledge_last(book)
    (create,) = book.events_to_upstream
    assert "cut off" in create["response"]["instructions"]
    book.forget().upstream(response_created("r2"), transcript_delta(" 42"), response_done("r2"))
    assert book.events_to_upstream[-1] == verbatim_create("Mind the gap.") | {"event_id": ANY, "response": ANY}


# A request that the user interrupted before its response began.


def interrupted_before_the_answer():
    """Return a session whose user speaks while the caller hears an announcement, and the answer behind it is due."""
    book = answering().upstream(transcript_delta("Let me look."), delta(bytes(96_000)), call_done(), response_done())
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    assert book.events_to_upstream[-1]["type"] == "response.create"
    return book.forget().upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"}).forget()


def test_a_question_is_asked_at_the_next_upstream_if_the_voice_that_interrupted_it_was_a_noise():
    book = restart(interrupted_before_the_answer().upstream_closes(decision=RESTART).forget()).forget()
    book.fire(Wait.COMMIT).expect(upstream=[CREATE])


def test_a_question_is_asked_again_if_its_response_fails_before_it_begins_and_the_voice_was_a_noise():
    book = interrupted_before_the_answer().upstream(response_done("resp_2", "failed")).fire(Wait.ASK_AGAIN)
    book.forget().fire(Wait.SPEECH).expect(upstream=[CREATE])


def test_an_answer_to_the_voice_covers_a_question_that_the_voice_interrupted():
    book = restart(interrupted_before_the_answer().upstream_closes(decision=RESTART).forget())
    output = book.events_to_upstream[-1]["item"]
    book.upstream({"type": "conversation.item.added", "item": output})
    book.upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"}).forget()
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"}, response_created("r2"), response_done("r2"))
    assert book.events_to_upstream == []
    assert not book.session.state.pending


def test_a_question_whose_answer_an_urgent_text_replaced_is_not_asked_again():
    book = asked().client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "interrupt"})
    book.upstream_closes(decision=RESTART).forget().configured()
    assert book.events_to_upstream[-1]["response"]["metadata"]["switchboard"] == "statement"
    acknowledge_last(book).upstream(statement_created(), response_done())
    assert [event["type"] for event in book.events_to_upstream] == ["conversation.item.create"]


# Failed responses.


def test_a_failed_response_is_requested_again_once_and_then_of_another_upstream():
    details = {"type": "failed", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "slow down"}}
    book = answering().upstream(response_done(status="failed", status_details=details)).expect()
    book.fire(Wait.ASK_AGAIN).expect(upstream=[CREATE])
    book.upstream(response_created("resp_2"), response_done("resp_2", status="failed", status_details=details))
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.REFUSED, cause="rate_limit_exceeded"))]
    book.forget().upstream_is_lost(Loss(kind=LossKind.REFUSED, cause="rate_limit_exceeded"), Decision.TEAR_DOWN)
    assert book.frames_to_client[0]["code"] == "rate_limit_exceeded"


def test_a_message_that_was_queued_behind_a_failed_answer_follows_it():
    book = asked().upstream(response_created())
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "queue"})
    book.upstream(response_done(status="failed")).forget()
    book.fire(Wait.ASK_AGAIN).expect(upstream=[CREATE])


def test_the_delivered_text_of_a_failed_response_is_its_beginning():
    details = {"type": "failed", "error": {"type": "server_error", "code": None, "message": "oh"}}
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("The answer")).forget()
    book.upstream(response_done(status="failed", status_details=details)).expect()
    book.fire(Wait.ASK_AGAIN)
    assert 'cut off after these words: "The answer"' in book.events_to_upstream[0]["response"]["instructions"]
    book.forget().upstream(response_created("r2"), transcript_done("is 42.", "i2"), response_done("r2"))
    book.expect(assistant("is 42."), AUDIO_DONE, DONE)


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_text_of_a_failed_response_that_ran_ahead_of_its_audio_is_spoken_and_not_sent_again(profile):
    book = asked(profile=profile).upstream(response_created(), transcript_delta("The answer is 42, I think."))
    book.upstream(delta(bytes(48_000)), transcript_done("The answer is 42, I think.")).forget()
    taken_back = {"type": "conversation.item.truncate", "item_id": "item_1", "audio_end_ms": 1000}
    book.upstream(response_done(status="failed")).expect(upstream=[taken_back]).fire(Wait.ASK_AGAIN)
    assert 'cut off after these words: "The answer is"' in book.events_to_upstream[0]["response"]["instructions"]
    rest = transcript_done("42, I think. Good bye.", "i2")
    book.forget().upstream(response_created("r2"), delta(b"\1\1", "r2"), rest, response_done("r2"))
    texts = [frame["content"] for frame in book.frames_to_client if isinstance(frame, dict) and "content" in frame]
    assert texts == ["Good bye."]


def test_an_answer_that_fails_twice_is_continued_by_the_next_upstream():
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("The answer"))
    book.upstream(response_done(status="failed")).fire(Wait.ASK_AGAIN)
    book.upstream(response_created("r2"), transcript_delta(" is 42, I think.", "i2", "r2"), delta(bytes(24_000), "r2"))
    book.upstream(transcript_done(" is 42, I think.", "i2"), response_done("r2", status="failed")).forget()
    book.upstream_is_lost(Loss(kind=LossKind.REFUSED, cause="server_error"), RESTART).expect(RESTARTED)
    book = acknowledge_last(restart(book))
    assert 'cut off after these words: "is 42,"' in book.events_to_upstream[0]["response"]["instructions"]
    book.forget().upstream(response_created("r3"), delta(b"\1\1", "r3"), transcript_done("I think. Bye.", "i3"))
    book.upstream(response_done("r3")).expect(b"\1\1", assistant("Bye."), AUDIO_DONE, DONE)


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_text_that_ran_ahead_is_not_sent_again_where_the_rest_is_cut_off_too(profile):
    book = asked(profile=profile).upstream(response_created(), transcript_delta("The answer is 42, I think."))
    book.upstream(delta(bytes(48_000)), transcript_done("The answer is 42, I think."), response_done(status="failed"))
    book.fire(Wait.ASK_AGAIN).forget()
    book.upstream(response_created("r2"), transcript_delta("42, I think. Good", "i2", "r2"), delta(bytes(18_000), "r2"))
    book.forget().upstream_closes(decision=RESTART).expect(RESTARTED)
    book = acknowledge_last(restart(book))
    assert 'cut off after these words: "42, I"' in book.events_to_upstream[0]["response"]["instructions"]
    book.forget().upstream(response_created("r3"), delta(b"\1\1", "r3"), transcript_done("think. Good bye.", "i3"))
    texts = [frame["content"] for frame in book.frames_to_client if isinstance(frame, dict) and "content" in frame]
    assert texts == ["Good bye."]
