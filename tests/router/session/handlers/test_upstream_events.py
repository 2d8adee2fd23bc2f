"""Acknowledgements of items, and errors, in a running session."""

import pytest

from router.session.deadlines import Wait
from tests.support.machine.beginnings import ask, speaking
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    error,
    item_added,
    response_created,
    response_done,
    text_done,
)

SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
KEY = "sk-secret-0123456789"
CREATE = {"type": "response.create"}


# Acknowledgements.


def test_the_acknowledgement_of_another_item_requests_nothing():
    book = Playbook().ready()
    ask(book)
    book.upstream(item_added("spoken", content=[{"type": "input_audio", "transcript": None}])).expect()
    book.upstream(item_added("other", "assistant", status="in_progress", content=[])).expect()


def test_an_acknowledgement_under_another_id_counts_once():
    book = Playbook().ready()
    ask(book)
    theirs = item_added("theirs", content=[{"type": "input_text", "text": "hello"}])
    book.upstream(theirs).expect(upstream=[CREATE])
    book.upstream({**theirs, "type": "conversation.item.done"}).expect()


def test_two_items_are_acknowledged_by_their_own_events():
    book = Playbook().ready()
    first, second = ask(book, "one"), ask(book, "two")
    book.upstream(item_added(first), {**item_added(first), "type": "conversation.item.done"}).expect(upstream=[CREATE])
    book.upstream(response_created(), item_added(second)).expect()
    book.upstream(text_done("1"), response_done()).expect(STARTED, assistant("1"), AUDIO_DONE, DONE, upstream=[CREATE])


def test_an_item_that_is_never_acknowledged_is_answered_anyway():
    book = Playbook().ready()
    ask(book)
    book.fire(Wait.ITEM_ACK).expect(upstream=[CREATE])


def test_an_item_that_the_upstream_refuses_is_not_answered():
    book = Playbook().ready()
    item_id = ask(book)
    book.upstream(error("string_above_max_length", "too long", event_id=item_id))
    book.expect({"type": "Error", "description": "too long", "code": "string_above_max_length"})


# Errors.


def test_an_error_keeps_the_upstream_s_code():
    book = Playbook().ready().upstream(error("weird_code", "it is odd", param="item.content"))
    book.expect({"type": "Error", "description": "it is odd (item.content)", "code": "weird_code"})


def test_an_error_without_a_code_has_its_type_as_code():
    book = Playbook().ready().upstream(error(None, "hm", type="server_error"))
    book.expect({"type": "Error", "description": "hm", "code": "server_error"})


@pytest.mark.parametrize(
    "code", ["response_cancel_not_active", "input_audio_buffer_commit_empty", "item_truncate_invalid_item_id"]
)
def test_errors_that_report_a_lost_race_are_absorbed(code):
    Playbook().ready().upstream(error(code)).expect()


def test_a_credential_in_an_error_is_redacted():
    book = Playbook(redact=lambda text: text.replace(KEY, "[redacted]")).ready()
    book.upstream(error("odd", f"bad key {KEY}"))
    assert book.frames_to_client[0]["description"] == "bad key [redacted]"


def test_the_error_of_a_late_truncation_is_not_sent_to_the_client():
    book = speaking().after(1).upstream(SPEECH_STARTED)
    event_id = book.events_to_upstream[-1]["event_id"]
    book.forget().upstream(error("invalid_value", "already shorter than 1000ms", event_id=event_id)).expect()


# The operator's account.


def limits(*remaining):
    names = ("requests", "tokens")
    found = [
        {"name": name, "limit": 1000, "remaining": left, "reset_seconds": 30.0}
        for name, left in zip(names, remaining, strict=False)
    ]
    return {"type": "rate_limits.updated", "rate_limits": found}


def test_a_limit_of_which_little_is_left_is_logged_once_in_its_window():
    book = Playbook().ready()
    before = len(book.logged)
    book.upstream(limits(49, 500), limits(40, 500)).expect()
    assert [line for line in book.logged[before:] if "49 of 1000 requests" in line] == book.logged[before:]
    book.after(29).upstream(limits(30, 49))
    assert "tokens" in book.logged[-1]
    book.after(2).upstream(limits(20, 500))
    assert "20 of 1000 requests" in book.logged[-1]


def test_the_newest_limits_are_kept():
    book = Playbook().ready().upstream(limits(900, 500), {"type": "rate_limits.updated"}, limits(800))
    assert {name: it.remaining for name, it in book.session.state.upstream.rate_limits.items()} == {"requests": 800}
