"""The memory of a relayed session."""

import json

import pytest

from actors import messages as engine
from router.fronts.realtime.relay import OF_UPSTREAM, Timer
from tests.support.machine.realtime_book import AUDIO_SESSION, RealtimeBook


@pytest.fixture
def context():
    return RealtimeBook().ready().relay.context


def test_an_event_of_the_router_s_own_has_an_id(context):
    context.refuse("code", "problem", event_id="mine", param="type")
    (command,) = context.commands
    assert '"event_id":"event_switchboard_' in command.frame
    assert '"event_id":"mine"' in command.frame


def test_an_abandoned_upstream_owes_nothing_any_more(context):
    context.abandon("silence")
    *cancelled, abandoned = context.commands
    assert cancelled == [engine.CancelTimer(timer.value) for timer in OF_UPSTREAM]
    assert abandoned.loss.cause == "silence"
    assert Timer.DRAIN not in OF_UPSTREAM


def test_a_session_is_busy_while_a_question_is_open_or_the_user_speaks():
    book = RealtimeBook().ready(**AUDIO_SESSION)
    context = book.relay.context
    assert not context.is_busy
    book.ask()
    assert context.is_busy
    book.begin().write("One").finish("One")
    assert not context.is_busy
    book.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="s")
    assert context.is_busy


def test_the_response_of_the_conversation_is_the_active_one():
    book = RealtimeBook().ready()
    book.client("response.create", response={"conversation": "none"})
    book.server("response.created", response={"id": "outside", "conversation_id": None})
    assert book.relay.context.active is None
    book.ask().begin()
    assert book.relay.context.active.id == "r1"


BIG = "x" * (4 * 1024 * 1024)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("session.updated", {"session": {"instructions": BIG}}),
        ("response.done", {"response": {"id": "r1", "status": "completed", "metadata": {"a": BIG}}}),
        (
            "conversation.item.input_audio_transcription.completed",
            {"item_id": "u", "content_index": 0, "transcript": BIG},
        ),
    ],
)
def test_an_event_that_the_codec_does_not_read_is_relayed_without_its_usage(kind, fields):
    book = RealtimeBook().ready().ask().begin()
    book.take()
    book.server(kind, **fields)
    assert [it.text for it in book.others if isinstance(it, engine.Log) and "its usage is not counted" in it.text]
    assert kind in book.kinds()


def test_a_credential_that_the_upstream_repeats_leaves_in_no_text_of_its_own():
    book = RealtimeBook(redact=lambda text: text.replace("sk-secret", "[redacted]")).open(note="sk-secret").ready()
    book.server("error", error={"code": "x", "message": "bad key sk-secret", "param": "sk-secret", "event_id": "other"})
    book.server("session.updated", session={"id": "sess_1", "instructions": "sk-secret"})
    book.server("unknown.event", note="sk-secret")
    book.ask().begin()
    details = {"error": {"code": "x", "message": "sk-secret"}}
    book.server("response.done", response={"id": "r1", "status": "failed", "status_details": details, "output": []})
    sent = json.dumps(book.sent)
    assert sent.count("[redacted]") == 5
    assert "sk-secret" not in sent
