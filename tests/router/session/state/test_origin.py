"""The origin of a response, by its metadata, its conversation, and the order."""

import pytest

from router.openai.events import Response
from router.session.state.origin import Origin, answers_earlier_request, is_marked, metadata_of, origin_of
from router.session.state.pending import ResponseRequest, SentRequest, new_verbatim_text

ANSWER = ResponseRequest()
TEXT = ResponseRequest(verbatim=new_verbatim_text("i", "Mind the gap."))
OWN = ResponseRequest(client_event="{}")
NAMED = ResponseRequest(client_event="{}", metadata={"topic": "classify"})
PRESUMED = ResponseRequest(presumed_item="i")
ASIDE = ResponseRequest(client_event="{}", is_outside=True)
NAMED_ASIDE = ResponseRequest(client_event="{}", is_outside=True, metadata={"topic": "classify"})

PLAIN = Response(id="r")
IN_CONVERSATION = Response(id="r", conversation_id="conv_1")
OUTSIDE = Response(id="r", conversation_id=None)
CLASSIFY = Response(id="r", conversation_id=None, metadata={"topic": "classify"})


def ours(event_id="sent", *, is_verbatim=False):
    return Response(id="r", metadata=metadata_of(event_id, is_verbatim=is_verbatim))


def origin(response, request=None, *, is_echoing=None, is_owed=False):
    sent = SentRequest(request, "sent") if request is not None else None
    return origin_of(response, sent, is_echoing=is_echoing, is_owed=is_owed)


@pytest.mark.parametrize("is_echoing", [True, False, None])
@pytest.mark.parametrize("is_owed", [True, False])
def test_metadata_decides_whatever_else_is_known(is_echoing, is_owed):
    known = {"is_echoing": is_echoing, "is_owed": is_owed}
    assert origin(ours(), ANSWER, **known) is Origin.REQUESTED
    assert origin(ours(is_verbatim=True), TEXT, **known) is Origin.REQUESTED
    for late in (ours("earlier"), ours("earlier", is_verbatim=True)):
        assert origin(late, ANSWER, **known) is Origin.LATE
        assert origin(late, TEXT, **known) is Origin.LATE
        assert origin(late, **known) is Origin.LATE
    assert origin(CLASSIFY, NAMED_ASIDE, **known) is Origin.OUTSIDE_REQUESTED


def test_a_given_text_is_known_without_its_request_s_id():
    response = Response(id="r", metadata={"switchboard": "statement"})
    assert is_marked(response)
    assert origin(response, TEXT) is Origin.REQUESTED
    assert origin(response, ANSWER) is Origin.LATE


@pytest.mark.parametrize("response", [PLAIN, IN_CONVERSATION])
def test_without_a_request_a_response_is_the_upstream_s_own(response):
    assert origin(response) is Origin.UPSTREAM


@pytest.mark.parametrize("request_", [None, ANSWER, OWN, NAMED])
def test_a_response_outside_the_conversation_is_no_turn(request_):
    assert origin(OUTSIDE, request_) is Origin.OUTSIDE


@pytest.mark.parametrize(
    ("request_", "is_echoing", "expected"),
    [
        (ANSWER, True, Origin.UPSTREAM),
        (ANSWER, False, Origin.REQUESTED),
        (ANSWER, None, Origin.REQUESTED),
        (TEXT, True, Origin.UPSTREAM),
        (TEXT, False, Origin.REQUESTED),
        (TEXT, None, Origin.REQUESTED),
        # A client's own event may have no metadata: its refusal tells them apart.
        (OWN, True, Origin.REQUESTED),
        (OWN, None, Origin.REQUESTED),
        (NAMED, True, Origin.UPSTREAM),
        (NAMED, None, Origin.REQUESTED),
        (ASIDE, None, Origin.REQUESTED),
        (NAMED_ASIDE, True, Origin.UPSTREAM),
    ],
)
def test_without_metadata_the_order_decides_unless_the_upstream_would_bring_it_back(request_, is_echoing, expected):
    assert origin(PLAIN, request_, is_echoing=is_echoing) is expected


def test_a_response_with_other_metadata_is_not_the_one_that_the_client_named():
    assert origin(Response(id="r", metadata={"topic": "other"}), NAMED) is Origin.UPSTREAM


def test_an_upstream_without_metadata_speaks_a_given_text_outside_the_conversation_too():
    assert origin(OUTSIDE, TEXT) is Origin.REQUESTED
    assert origin(OUTSIDE, TEXT, is_echoing=True) is Origin.OUTSIDE
    assert origin(OUTSIDE, ASIDE) is Origin.OUTSIDE_REQUESTED
    assert origin(OUTSIDE, NAMED_ASIDE, is_echoing=True) is Origin.OUTSIDE


def test_an_upstream_without_metadata_answers_the_client_s_request_outside_the_conversation_in_order():
    assert origin(OUTSIDE, NAMED_ASIDE) is Origin.OUTSIDE_REQUESTED


def test_the_answer_to_the_user_s_speech_goes_before_a_given_text():
    assert origin(PLAIN, TEXT, is_owed=True) is Origin.UPSTREAM
    assert origin(PLAIN, ANSWER, is_owed=True) is Origin.REQUESTED


@pytest.mark.parametrize("is_echoing", [False, None])
def test_an_unmarked_response_outside_the_conversation_is_the_given_text_and_no_answer_to_speech(is_echoing):
    assert origin(OUTSIDE, TEXT, is_echoing=is_echoing, is_owed=True) is Origin.REQUESTED
    assert origin(IN_CONVERSATION, TEXT, is_echoing=is_echoing, is_owed=True) is Origin.UPSTREAM


@pytest.mark.parametrize("is_echoing", [False, None])
def test_speech_is_answered_before_a_question_that_was_not_acknowledged(is_echoing):
    assert origin(PLAIN, PRESUMED, is_echoing=is_echoing, is_owed=True) is Origin.UPSTREAM
    assert origin(PLAIN, PRESUMED, is_echoing=is_echoing) is Origin.REQUESTED
    assert origin(ours(), PRESUMED, is_echoing=is_echoing, is_owed=True) is Origin.REQUESTED


def test_a_response_of_an_earlier_request_is_known_by_its_metadata():
    sent = SentRequest(ResponseRequest(), "sent")
    assert answers_earlier_request(ours("earlier"), sent)
    assert answers_earlier_request(ours(is_verbatim=True), sent)
    assert not answers_earlier_request(ours(), sent)
    assert not answers_earlier_request(Response(id="r"), sent)
    assert not answers_earlier_request(ours("earlier"), None)
