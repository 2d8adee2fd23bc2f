"""The loss of an upstream, and its replacement."""

import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind, Verdict
from router.session.deadlines import Wait
from tests.support.machine.beginnings import acknowledge_last, asked, dial_standby, feed_standby, restart
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    error,
    response_created,
    response_done,
    settings,
    text_done,
    user,
)

RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}
CREATE = {"type": "response.create"}
RESTART = Decision.RESTART


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_question_is_answered_although_the_upstream_closes_with_1000_before_its_answer(profile):
    book = asked(profile=profile).upstream_closes(1000, decision=RESTART)
    assert book.commands[-1] == messages.OpenUpstream(2, "gpt-realtime-2.1")
    book.expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])
    book.upstream(response_created("r2"), text_done("Hi."), response_done("r2"))
    component = [STARTED] if profile == "openai" else []
    done = [AUDIO_DONE, DONE] if profile == "openai" else [AUDIO_DONE]
    book.expect(*component, assistant("Hi."), *done)
    assert book.refills == 1


def test_a_restart_between_turns_requests_nothing():
    book = asked().upstream(response_created(), text_done("Hi."), response_done()).forget()
    book.upstream_closes(1001, decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect()


def test_a_message_during_a_restart_waits_and_is_answered_too():
    book = asked().upstream_closes(decision=RESTART).expect(RESTARTED)
    book.client({"type": "InjectUserMessage", "content": "are you there?"}).expect(user("are you there?"))
    restart(book)
    texts = [event["item"]["content"][0]["text"] for event in book.events_to_upstream]
    assert texts == ["hello", "are you there?"]


def test_a_restart_before_settings_are_applied_is_not_reported():
    book = Playbook().opened().client(settings()).forget()
    book.upstream_closes(1013, decision=RESTART).expect()
    restart(book, {"type": "SettingsApplied"})


def test_a_restart_of_a_restart_still_has_the_question():
    book = asked().upstream_closes(decision=RESTART).expect(RESTARTED)
    book.upstream_is_lost(Loss(kind=LossKind.NOT_DIALLED, cause="refused"), RESTART, delay_s=0.5)
    assert book.commands[-1] == messages.OpenUpstream(3, "gpt-realtime-2.1", 0.5)
    book.expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_a_restart_that_takes_too_long_is_abandoned():
    book = asked().upstream_closes(decision=RESTART).forget().fire(Wait.RESTART)
    assert book.commands == [messages.AbandonUpstream(2, Loss(kind=LossKind.SILENT, cause="restart"))]


def test_a_standby_upstream_replaces_a_lost_one_at_once():
    book = asked().upstream(response_created()).forget()
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, {"type": "session.created"}, {"type": "session.updated"})
    question = book.events_to_upstream[-1]["item"]
    feed_standby(book, generation, {"type": "conversation.item.added", "item": question})
    book.forget().upstream_closes(1001, decision=Decision.TEAR_DOWN).expect(RESTARTED, upstream=[CREATE])
    assert book.generation == generation


def test_the_late_loss_of_an_abandoned_upstream_is_ignored():
    """Its loss is reported when another upstream is in use already."""
    book = Playbook().ready()
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, {"type": "session.created"})
    book.forget().upstream(error("session_expired"))
    feed_standby(book, generation, {"type": "session.updated"})
    assert book.generation == generation
    loss = Loss(kind=LossKind.REFUSED, cause="session_expired")
    book.forget().feed(messages.UpstreamLost(1, loss, Verdict(decision=RESTART))).expect()
    assert book.generation == generation


@pytest.mark.parametrize("frame", ["not json", "[]", '{"no": "type"}'])
def test_an_upstream_that_sends_a_malformed_frame_is_abandoned(frame):
    book = Playbook().ready().upstream(frame)
    assert [(c.generation, c.loss.kind) for c in book.commands] == [(1, LossKind.MALFORMED)]


def test_an_upstream_that_sends_a_binary_frame_is_abandoned():
    book = Playbook().ready().feed(messages.UpstreamBinaryReceived(1, b"x"))
    assert [(c.generation, c.loss.kind) for c in book.commands] == [(1, LossKind.MALFORMED)]
