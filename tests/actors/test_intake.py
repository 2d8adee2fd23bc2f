"""A leg that is ahead of its session is not read until the session has caught up."""

import pytest

from actors import lifecycle, messages
from actors.client import ClientActor
from actors.intake import MAX_BYTES, MAX_MESSAGES
from actors.translator import TranslatorActor
from tests.support.engine.dispatching import on
from tests.support.engine.sessions import only


@pytest.fixture
def held(engine):
    """Make a session whose translator is in the middle of a slice; return its legs and what it received."""
    client, upstream, machine = engine.start_with_upstream()
    return client, upstream, machine


def texts(machine, kind):
    return [it.text for it in machine.inputs if isinstance(it, kind)]


@pytest.mark.parametrize(("count", "size"), [(3 * MAX_MESSAGES, 1), (3, MAX_BYTES)], ids=["many", "large"])
def test_every_message_of_a_client_that_is_ahead_arrives_in_order(engine, held, count, size):
    client, _, machine = held
    sent = [f"{at} ".ljust(size, "x") for at in range(count)]

    def flood():
        for text in sent:
            client.send_text(text)

    on(engine.dispatcher, flood)
    client.send_text("end")
    while client.receive() != "bye":
        pass
    assert texts(machine, messages.ClientTextReceived)[1:-1] == sent


def test_a_client_that_is_ahead_is_not_read(engine, held):
    client, _, _ = held
    translator = only(TranslatorActor)
    waiting = []

    def flood():
        for at in range(8 * MAX_MESSAGES):
            client.send_text(str(at))
        for _ in range(3):
            engine.dispatcher.call_soon(lambda: waiting.append(len(translator.actor_inbox.waiting)))

    on(engine.dispatcher, flood)
    on(engine.dispatcher, lambda: None)
    assert max(waiting) <= MAX_MESSAGES + 1
    client.send_text("end")
    while client.receive() != "bye":
        pass


def test_every_message_of_an_upstream_that_is_ahead_arrives_in_order(engine, held):
    client, upstream, _ = held
    sent = [str(at) for at in range(3 * MAX_MESSAGES)]

    def flood():
        for text in sent:
            upstream.send_text(text)

    on(engine.dispatcher, flood)
    assert [client.receive() for _ in sent] == sent


def test_a_leg_asks_once_at_a_time_whether_it_may_be_read_again(engine, held):
    client, _, machine = held
    inbox = only(ClientActor).actor_inbox

    def questions():
        return sum(type(it) is lifecycle.ContinueReading for it in inbox.waiting)

    client.send_binary(bytes(16 * MAX_BYTES))
    assert max(on(engine.dispatcher, questions) for _ in range(300)) <= 1
    client.send_text("end")
    while client.receive() != "bye":
        pass
    received_bytes = sum(len(it.data) for it in machine.inputs if isinstance(it, messages.ClientBinaryReceived))
    assert received_bytes == 16 * MAX_BYTES
