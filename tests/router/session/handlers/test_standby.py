"""The upstream that follows before a session expires."""

import orjson

from actors import messages
from actors.restart import Decision, Loss, LossKind, Verdict
from router.session.deadlines import Wait
from tests.support.machine.beginnings import asked, dial_standby, feed_standby, message_item
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    response_created,
    response_done,
    text_done,
    user,
)

RESTART = Decision.RESTART


def test_the_next_upstream_is_prepared_before_a_session_expires_and_takes_over_between_turns():
    book = asked().upstream(response_created()).forget()
    generation = dial_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, {"type": "session.created", "session": {}})
    assert [(c.generation, e["type"]) for c, e in zip(book.commands, book.events_to_upstream, strict=True)] == [
        (generation, "session.update")
    ]
    book.forget()
    feed_standby(book, generation, {"type": "session.updated", "session": {}})
    assert [c.generation for c in book.commands] == [generation]
    book.expect(upstream=[message_item("user", "hello")])
    book.upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."))
    book.upstream(response_done())
    assert messages.CloseUpstream(1) in book.commands
    book.expect(AUDIO_DONE, DONE, upstream=[message_item("assistant", "Hi.")])
    assert book.generation == generation
    book.client({"type": "InjectUserMessage", "content": "again"}).expect(
        user("again"), upstream=[message_item("user", "again")]
    )
    assert book.session.describe()["rollovers"] == 1


def test_a_standby_upstream_that_fails_is_tried_again_and_the_client_is_warned_once():
    book = Playbook().ready()
    warning = {"type": "Warning", "code": "MAXIMUM_SESSION_LENGTH_APPROACHING", "description": ANY}
    verdict = Verdict(decision=RESTART)
    for expected in ([warning], []):
        generation = dial_standby(book)
        book.feed(messages.UpstreamLost(generation, Loss(kind=LossKind.NOT_DIALLED), verdict)).expect(*expected)
        assert book.timers["rollover"] == 10.0
    assert dial_standby(book) == generation + 1


def test_the_standby_upstream_is_sent_nothing_after_the_session_s_end():
    book = Playbook().ready().fire(Wait.ROLLOVER)
    generation = book.session.state.standby.generation
    book.upstream_closes().forget()
    created = orjson.dumps({"type": "session.created"}).decode()
    book.feed(messages.UpstreamTextReceived(generation, created)).expect()
