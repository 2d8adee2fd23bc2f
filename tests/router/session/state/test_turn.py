"""The agent's turn: its responses, and the ids of earlier ones."""

from router.session.state.pending import ResponseRequest, SentRequest, new_verbatim_text
from router.session.state.states import ResponseState
from router.session.state.turn import MAX_INTERRUPTED, Turn

TEXT = ResponseRequest(verbatim=new_verbatim_text("i", "Mind the gap."))


# Responses.


def test_an_event_before_response_created_belongs_to_any_response_that_was_not_interrupted():
    turn = Turn()
    turn.mute("old")
    assert [turn.is_other_response(it) for it in ("old", "new", None)] == [True, False, False]
    turn.begin("new")
    assert [turn.is_other_response(it) for it in ("other", "new", None)] == [True, False, False]


def test_a_response_forgets_an_earlier_one_of_its_id():
    turn = Turn()
    turn.mute("resp_1")
    turn.note_cancelled("resp_1")
    turn.begin("resp_1")
    assert (turn.interrupted, turn.cancelled) == ((), ())


def test_only_the_newest_interrupted_responses_are_remembered():
    turn = Turn()
    for number in range(MAX_INTERRUPTED + 1):
        turn.mute(str(number))
    assert not turn.is_suppressed("0")
    assert turn.is_suppressed("1")


def test_the_words_of_a_given_text_s_response_are_suppressed():
    turn = Turn()
    turn.current = SentRequest(TEXT, "event")
    assert turn.is_suppressed("any")
    turn.begin("resp_1")
    assert [turn.is_suppressed(it) for it in ("resp_1", None, "other")] == [True, True, False]


def test_only_an_active_response_is_interrupted():
    turn = Turn()
    turn.begin("resp_1")
    turn.is_cut = True
    assert not turn.is_interrupted
    turn.response = ResponseState.ACTIVE
    assert turn.is_interrupted


def test_a_text_without_an_item_belongs_to_the_next_item_with_that_text():
    turn = Turn()
    part = turn.answer.of_text(None, None)
    part.sent_text, part.is_closed = "Hello.", True
    turn.begin_answer()
    assert not turn.claim_unnamed("item_1", "Something else.")
    assert not turn.claim_unnamed(None, "Hello.")
    assert turn.claim_unnamed("item_1", "Hello.")
    assert not turn.claim_unnamed("item_2", "Hello.")
    assert "item_1" in turn.closed
