"""The upstream that follows before a session expires."""

import orjson

from actors import messages
from actors.restart import Decision, Loss, LossKind, Verdict
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    item_added,
    response_created,
    response_done,
    text_done,
    user,
)

RESTART = Decision.RESTART


def item_of(role, text):
    kind = "input_text" if role == "user" else "output_text"
    return {"item": {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}}


def asked(content="hello", profile="openai", **options):
    """Return a session with an acknowledged question."""
    book = Playbook(profile, **options).ready().client({"type": "InjectUserMessage", "content": content})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    return book.upstream(item_added(item_id)).forget()


def dial_standby(book):
    """Dial the standby upstream, and return its generation."""
    book.fire(Wait.ROLLOVER)
    (command,) = [c for c in book.commands if isinstance(c, messages.OpenUpstream)]
    assert command.is_standby
    book.forget()
    return command.generation


def feed_standby(book, generation, *events):
    for event in events:
        book.feed(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))


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
    book.expect(upstream=[item_of("user", "hello")])
    book.upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."))
    book.upstream(response_done())
    assert messages.CloseUpstream(1) in book.commands
    book.expect(AUDIO_DONE, DONE, upstream=[item_of("assistant", "Hi.")])
    assert book.generation == generation
    book.client({"type": "InjectUserMessage", "content": "again"}).expect(
        user("again"), upstream=[item_of("user", "again")]
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
