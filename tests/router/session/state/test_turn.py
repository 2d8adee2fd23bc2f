"""The agent's turn: its queue of requests, its responses, and the delivered part of its answer."""

import pytest

from router.openai import events as openai
from router.session.state.states import ResponseState
from router.session.state.turn import (
    MAX_INTERRUPTED,
    Answer,
    ResponseRequest,
    Turn,
    new_verbatim_text,
    without_continuations,
)

ANSWER = ResponseRequest()
OWN = ResponseRequest(client_event="{}")
REST = ResponseRequest(continues_turn=True, resume_after="The answer is")
RESUMED = ResponseRequest(client_event="{}", is_resumed=True)
TEXT = ResponseRequest(verbatim=new_verbatim_text("i", "Mind the gap."))
URGENT = ResponseRequest(verbatim=new_verbatim_text("j", "Mind the step.", is_urgent=True))


def queued(*requests):
    turn = Turn()
    turn.request(*requests)
    return list(turn.requests)


# The queue of requests.


def test_requests_keep_their_order():
    assert queued(TEXT, OWN, ANSWER) == [TEXT, OWN, ANSWER]


def test_one_general_answer_is_enough():
    assert queued(ANSWER, TEXT, ANSWER) == [ANSWER, TEXT]


def test_a_general_answer_continues_the_turn_where_one_of_its_requests_does():
    continuing = ResponseRequest(continues_turn=True)
    assert queued(ANSWER, TEXT, continuing) == [continuing, TEXT]
    assert queued(continuing, ANSWER) == [continuing]


def test_urgent_requests_come_first_and_resumed_ones_next():
    again = ResponseRequest(verbatim=new_verbatim_text("k", "Mind the door.", is_urgent=True))
    assert queued(OWN, URGENT, RESUMED, again) == [URGENT, again, RESUMED, OWN]


@pytest.mark.parametrize(
    ("request_", "is_answer", "is_general"),
    [(ANSWER, True, True), (REST, True, False), (OWN, False, False), (TEXT, False, False)],
)
def test_only_an_answer_to_the_whole_conversation_is_general(request_, is_answer, is_general):
    assert (request_.is_answer, request_.is_general) == (is_answer, is_general)


def test_the_follow_up_takes_the_place_of_a_continuation():
    followed = ResponseRequest(resume_after="x", follow_up=OWN)
    assert without_continuations([followed, TEXT, REST]) == [OWN, TEXT]


# Responses.


def test_an_event_before_response_created_belongs_to_any_response_that_was_not_interrupted():
    turn = Turn()
    turn.interrupted.append("old")
    assert [turn.is_other_response(it) for it in ("old", "new", None)] == [True, False, False]
    turn.begin("new")
    assert [turn.is_other_response(it) for it in ("other", "new", None)] == [True, False, False]


def test_a_response_forgets_an_earlier_one_of_its_id():
    turn = Turn()
    turn.interrupted.append("resp_1")
    turn.cancelled.append("resp_1")
    turn.begin("resp_1")
    assert (list(turn.interrupted), list(turn.cancelled)) == ([], [])


def test_only_the_newest_interrupted_responses_are_remembered():
    turn = Turn()
    for number in range(MAX_INTERRUPTED + 1):
        turn.interrupted.append(str(number))
    assert not turn.is_suppressed("0")
    assert turn.is_suppressed("1")


def test_the_words_of_a_given_text_s_response_are_suppressed():
    turn = Turn()
    turn.current_request = TEXT
    assert turn.is_suppressed("any")
    turn.begin("resp_1")
    assert [turn.is_suppressed(it) for it in ("resp_1", None, "other")] == [True, True, False]


def test_only_an_active_response_is_interrupted():
    turn = Turn()
    turn.begin("resp_1")
    turn.interrupted.append("resp_1")
    assert not turn.is_interrupted
    turn.response = ResponseState.ACTIVE
    assert turn.is_interrupted


def test_a_turn_continues_with_a_follow_up_or_with_the_client_s_own_response():
    turn = Turn()
    turn.request(ANSWER)
    assert not turn.will_continue
    turn.request(ResponseRequest(continues_turn=True))
    assert turn.will_continue
    turn = Turn()
    turn.is_answered_by_passthrough = True
    assert turn.will_continue


# The answer.


def test_text_of_the_continued_answer_counts_as_delivered():
    answer = Answer()
    answer.resent_chars = 10
    answer.sent_chars = 4
    assert answer.delivered_chars == 10
    answer.sent_chars = 12
    assert answer.delivered_chars == 12


def test_only_the_end_of_its_own_item_completes_an_answer():
    answer = Answer()
    answer.item_id = "i"
    for item, is_complete in [("other", False), (None, False), ("i", True)]:
        answer.record_end(openai.Item(id=item, status="completed"))
        assert answer.is_complete is is_complete
    answer.record_end(openai.Item(id="i", status="incomplete"))
    assert not answer.is_complete
