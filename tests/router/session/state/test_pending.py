"""The list of requests: its order, its gates, and the rules by which a request leaves it."""

import pytest

from router.session.state.pending import PendingResponses, ResponseRequest, SentRequest, new_verbatim_text

ANSWER = ResponseRequest()
PRESUMED = ResponseRequest(presumed_item="typed")
CONTINUING = ResponseRequest(continues_turn=True)
OWN = ResponseRequest(client_event="{}")
REST = ResponseRequest(continues_turn=True, resume_after="The answer is")
TEXT = ResponseRequest(verbatim=new_verbatim_text("i", "Mind the gap."))
URGENT = ResponseRequest(verbatim=new_verbatim_text("j", "Mind the step.", is_urgent=True))
TYPED = ResponseRequest(item_id="typed", item_bytes=7)
PAUSED = ResponseRequest(is_paused=True)


def pending(*requests):
    made = PendingResponses()
    for request in requests:
        made.add(request)
    return made


# The order.


def test_requests_keep_their_order():
    assert list(pending(TEXT, OWN, ANSWER)) == [TEXT, OWN, ANSWER]


def test_urgent_requests_come_first_and_those_that_began_before_next():
    again = ResponseRequest(verbatim=new_verbatim_text("k", "Mind the door.", is_urgent=True))
    made = pending(OWN, URGENT, again)
    made.put_first(TEXT)
    assert list(made) == [URGENT, again, TEXT, OWN]
    assert made.take_next() == URGENT


@pytest.mark.parametrize(
    ("request_", "is_answer", "is_general"),
    [(ANSWER, True, True), (REST, True, False), (OWN, False, False), (TEXT, False, False)],
)
def test_only_an_answer_to_the_whole_conversation_is_general(request_, is_answer, is_general):
    assert (request_.is_answer, request_.is_general) == (is_answer, is_general)


def test_the_size_of_a_request_is_that_of_its_texts():
    assert (TEXT.size_bytes, OWN.size_bytes, TYPED.size_bytes) == (13, 2, 7)
    assert pending(TEXT, OWN, TYPED).size_bytes == 22


def test_a_request_that_continues_the_turn_keeps_it_open():
    assert pending(ANSWER, REST).continues_turn
    assert not pending(ANSWER, TEXT).continues_turn


# The gates.


def test_every_request_waits_behind_one_whose_gate_is_closed():
    made = pending(TYPED, TEXT)
    assert made.next is None
    assert made.awaits_acknowledgement
    assert not made.acknowledge("another")
    assert made.acknowledge("typed")
    assert list(made) == [ANSWER, TEXT]
    assert made.next == ANSWER


def test_an_urgent_request_waits_behind_none():
    assert pending(TYPED, URGENT).next == URGENT


def test_a_failed_request_waits_for_its_pause_alone():
    made = pending(PAUSED, TYPED)
    made.open_items()
    assert made.is_paused
    made.end_pauses()
    assert list(made) == [PRESUMED]
    made = pending(PAUSED, TYPED)
    made.open_all()
    assert list(made) == [ANSWER]


def test_the_first_question_waits_for_the_last_item_of_the_ledger():
    made = pending(TEXT, OWN, ANSWER)
    assert made.await_item("last")
    assert [request.item_id for request in made] == [None, "last", None]
    assert not pending(TEXT).await_item("last")


def test_the_answers_respond_to_an_item_that_the_upstream_may_lack_until_it_is_acknowledged():
    made = pending(ANSWER, TEXT)
    made.presume_item("output")
    made.answer_with_speech()
    assert [request.presumed_item for request in made] == ["output", None]
    made.acknowledge("output")
    made.answer_with_speech()
    assert list(made) == [TEXT]


# The rules.


def test_an_answer_to_speech_covers_no_question_that_the_upstream_did_not_acknowledge():
    made = pending(TYPED)
    made.open_items()
    made.answer_with_speech()
    assert list(made) == [PRESUMED]


def test_an_item_that_is_acknowledged_late_shows_that_its_question_arrived():
    made = pending(TYPED)
    made.open_items()
    made.in_flight = SentRequest(PRESUMED, "sent")
    assert not made.acknowledge("typed")
    assert (list(made), made.in_flight.request) == ([ANSWER], ANSWER)


def test_an_answer_to_speech_covers_a_question_in_flight_that_was_acknowledged():
    for request_, is_covered in ((ANSWER, True), (PRESUMED, False)):
        made = pending()
        made.in_flight = SentRequest(request_, "sent")
        made.answer_with_speech()
        assert (made.in_flight is None) is is_covered


def test_a_merged_request_takes_the_place_of_an_answer_to_speech_if_one_of_them_does():
    made = pending(ANSWER, ResponseRequest(answers_speech=True))
    assert len(made) == 1
    assert made.answers_speech


def test_merged():
    made = pending(ANSWER, TEXT, CONTINUING)
    assert list(made) == [CONTINUING, TEXT]
    assert made.take_rules() == ("MERGED",)
    assert list(pending(CONTINUING, ANSWER)) == [CONTINUING]
    assert list(pending(TYPED, ANSWER)) == [TYPED, ANSWER]


def test_answered_with_speech():
    made = pending(ANSWER, TEXT, TYPED, OWN, REST)
    made.answer_with_speech()
    assert list(made) == [TEXT, TYPED, OWN]
    assert made.take_rules() == ("ANSWERED_WITH_SPEECH",)
    assert made.take_rules() == ()


def test_not_continued():
    made = pending(REST, OWN)
    assert made.continue_nothing()
    assert list(made) == [OWN]
    assert made.take_rules() == ("NOT_CONTINUED",)
    assert not made.continue_nothing()
    assert made.take_rules() == ()


def test_begun_again():
    made = pending(TEXT, CONTINUING, OWN)
    made.begin_again(PAUSED)
    assert list(made) == [ResponseRequest(is_paused=True, continues_turn=True), TEXT, OWN]
    assert made.take_rules() == ("BEGUN_AGAIN",)
    made = pending(ANSWER)
    made.begin_again(REST)
    assert list(made) == [REST, ANSWER]
    assert made.take_rules() == ()


def test_an_answer_that_begins_again_still_lacks_the_item_of_a_later_question():
    made = pending(TYPED)
    made.begin_again(PAUSED)
    assert list(made) == [ResponseRequest(is_paused=True, presumed_item="typed")]
    made.end_pauses()
    made.answer_with_speech()
    assert len(made) == 1
    made.acknowledge("typed")
    made.answer_with_speech()
    assert len(made) == 0


def test_refused():
    made = pending(ResponseRequest(item_id="typed", question_item="typed"), TEXT)
    assert made.refuse("typed")
    assert list(made) == [TEXT]
    assert made.take_rules() == ("REFUSED",)
    assert not made.refuse("typed")
