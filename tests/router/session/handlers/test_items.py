"""Corrections of items that an upstream has as text."""

import orjson

from actors import messages
from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.beginnings import assistant_texts, speaking, spoken
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    assistant_item,
    response_created,
    response_done,
)

SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
STOP_PLAYING = {"type": "UserStartedSpeaking"}


def corrected(item_id, text):
    """Return the events that shorten a text to its heard words."""
    return [{"type": "conversation.item.delete", "item_id": item_id}, assistant_item(text)]


def test_the_next_upstream_s_text_is_corrected_to_the_heard_words():
    book = spoken().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    (item,) = book.session.state.ledger.items_after()
    book.after(1.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING, upstream=corrected(item.id, "One two three"))
    assert assistant_texts(book) == ["One two three"]


def test_the_next_upstream_s_beginning_of_an_answer_is_corrected_to_the_heard_words():
    book = speaking().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    (item,) = book.session.state.ledger.items_after()
    book.after(1.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING, AUDIO_DONE, DONE, upstream=corrected(item.id, ANY))
    assert assistant_texts(book) == ["One two three"]


def test_the_standby_upstream_s_text_is_corrected_too():
    book = spoken().upstream(response_created("resp_2")).fire(Wait.ROLLOVER)
    generation = book.session.state.standby.generation
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    for kind in ("session.created", "session.updated"):
        book.feed(messages.UpstreamTextReceived(generation, orjson.dumps({"type": kind}).decode()))
    (item,) = book.session.state.ledger.items_after()
    book.forget().after(1.0).upstream(SPEECH_STARTED)
    to_next = [it.frame for it in book.commands if getattr(it, "generation", None) == generation]
    book.forget()
    assert [orjson.loads(frame)["type"] for frame in to_next] == [
        "conversation.item.delete",
        "conversation.item.create",
    ]
    assert orjson.loads(to_next[0])["item_id"] == item.id


def test_an_item_that_was_truncated_after_a_failure_is_corrected_to_the_heard_words():
    book = speaking().upstream(response_done(status="failed")).forget().after(1.0).upstream(SPEECH_STARTED)
    book.expect(STOP_PLAYING, AUDIO_DONE, DONE, upstream=corrected("item_1", "One two three"))
