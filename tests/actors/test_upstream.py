"""The upstream's leg of a session: dialled, read, and lost in every way."""

import time
from functools import partial

import pykka
import pytest

from actors import messages
from actors.connections.base import ConnectionClosed
from actors.connections.upstream import DialError, DialFailure, DialTarget
from actors.connector import MAX_WAITING
from actors.upstream import UpstreamActor
from tests.support.engine.sessions import WAIT_S, closing, describe, only


def test_an_upstream_actor_describes_itself(engine):
    engine.start_with_upstream()
    assert describe(UpstreamActor) == {
        "role": "upstream",
        "generation": 1,
        "position": 0,
        "is_connected": True,
        "held_bytes": 0,
    }


def test_text_and_binary_messages_are_passed_on(engine):
    client, upstream, machine = engine.start_with_upstream()
    upstream.send_text("text")
    upstream.send_binary(b"binary")
    assert [client.receive(), client.receive()] == ["text", b"binary"]
    assert machine.inputs[-1] == messages.UpstreamBinaryReceived(1, b"binary")


def test_a_failed_dial_reaches_the_machine_as_a_loss(engine):
    engine.refusals = [DialError(DialFailure.TCP, None, "refused")]
    client, _ = engine.start()
    client.send_text("open")
    assert client.receive() == "lost 1 NOT_DIALLED None TEAR_DOWN"
    assert closing(client) == (1011, "lost")


def test_a_connection_that_is_dialled_too_late_is_closed(engine):
    engine.may_dial.clear()
    client, _ = engine.start()
    client.send_text("open")
    assert engine.began_to_dial.acquire(timeout=WAIT_S)
    client.send_text("end")
    assert client.receive() == "bye"
    closing(client)
    engine.may_dial.set()
    assert engine.dialled.acquire(timeout=WAIT_S)
    assert isinstance(engine.upstreams[-1].receive(), ConnectionClosed)


def test_a_failed_upstream_actor_reaches_the_machine_as_a_loss(engine):
    client, upstream, _ = engine.start_with_upstream()
    only(UpstreamActor).tell(pykka.messages.ProxyCall(attr_path=("no_such_method",), args=(), kwargs={}))
    assert client.receive() == "lost 1 FAILED None TEAR_DOWN"
    assert closing(client) == (1011, "lost")
    assert isinstance(upstream.receive(), ConnectionClosed)


def test_messages_of_the_upstream_come_before_its_end(engine):
    client, upstream, _ = engine.start_with_upstream()
    for n in range(100):
        upstream.send_text(str(n))
    upstream.close(1000)
    assert [client.receive() for _ in range(101)] == [*map(str, range(100)), "lost 1 CLOSED 1000 TEAR_DOWN"]
    assert closing(client) == (1011, "lost")


def test_a_dial_that_fails_in_an_unexpected_way_is_a_failed_dial(engine):
    engine.refusals = [ZeroDivisionError("a bug of the dialler's")]
    client, machine = engine.start()
    client.send_text("open")
    assert client.receive() == "lost 1 NOT_DIALLED None TEAR_DOWN"
    assert machine.inputs[-1].loss.cause == DialFailure.HANDSHAKE.value
    closing(client)


def test_an_http_status_is_a_loss_of_its_own_kind(engine):
    engine.refusals = [DialError(DialFailure.HTTP_STATUS, 503)]
    client, _ = engine.start()
    client.send_text("open")
    assert client.receive() == "lost 1 HTTP 503 TEAR_DOWN"
    closing(client)


@pytest.mark.parametrize(
    ("lose", "lost"),
    [
        (lambda upstream: upstream.close(1011, "oops"), "CLOSED 1011"),
        (lambda upstream: upstream.reset(), "CLOSED 1006"),
        (lambda upstream: upstream.send_bytes(b"\x83\x80\0\0\0\0"), "MALFORMED 1002"),
    ],
    ids=["close", "reset", "violation"],
)
def test_an_ending_of_the_connection_is_a_loss(engine, lose, lost):
    client, upstream, _ = engine.start_with_upstream()
    lose(upstream)
    assert client.receive() == f"lost 1 {lost} TEAR_DOWN"
    closing(client)


def test_an_upstream_whose_dispatcher_is_stuck_is_hung_up_on(engine):
    _, upstream, _ = engine.start_with_upstream()
    actor = only(UpstreamActor)._actor_weakref()
    assert not actor.has_last_frame
    actor.abort_from_outside()
    assert isinstance(upstream.receive(), ConnectionClosed)


def test_a_dial_whose_deadline_expired_in_the_queue_is_not_begun(engine):
    engine.target = partial(DialTarget, timeout_s=0.05)
    engine.may_dial.clear()
    for _ in range(2):  # both threads of the connector dial
        client, _ = engine.start()
        client.send_text("open")
        assert engine.began_to_dial.acquire(timeout=WAIT_S)
    client, machine = engine.start()
    client.send_text("open")
    asked_s = time.monotonic()
    while time.monotonic() < asked_s + 0.1:
        engine.sessions()
    engine.may_dial.set()
    assert client.receive() == "lost 1 NOT_DIALLED None TEAR_DOWN"
    assert machine.inputs[-1].loss.cause == DialFailure.BUSY.value
    assert len(engine.dials) == 2


def test_a_dial_that_the_queue_does_not_take_is_lost_at_once(engine):
    engine.may_dial.clear()
    dials = 2 + 2 * MAX_WAITING
    jobs = [engine.connector.submit(lambda: engine.may_dial.wait(WAIT_S), lambda _: None) for _ in range(dials)]
    client, machine = engine.start()
    client.send_text("open")
    assert client.receive() == "lost 1 NOT_DIALLED None TEAR_DOWN"
    assert machine.inputs[-1].loss.cause == DialFailure.BUSY.value
    engine.may_dial.set()
    assert len(jobs) == dials


def test_a_binary_message_of_a_machine_reaches_the_upstream_as_one(engine):
    _, upstream, _ = engine.start_with_upstream()
    for frame, is_binary in ((b"text", False), (b"audio", True)):
        only(UpstreamActor).tell(messages.SendToUpstream(frame, 1, is_binary))
    assert [upstream.receive(), upstream.receive()] == ["text", b"audio"]
