"""The client's leg of a session, between a memory connection and a machine that follows a script."""

import time

from actors import messages
from actors.client import PIECE_BYTES, ClientActor
from actors.connections.base import ConnectionClosed, ConnectionLimits
from actors.throttle import Rates
from tests.support.engine.sessions import CRASH_FRAME, WAIT_S, closing, describe, only


def test_a_client_actor_describes_itself(engine):
    engine.start()
    assert describe(ClientActor) == {"role": "client", "peer": "memory", "is_paused": False, "held_bytes": 0}


def test_text_and_binary_frames_are_sent(engine):
    client, _ = engine.start()
    for frame in ("hello", b"\1\2"):
        only(ClientActor).tell(messages.SendToClient(frame))
    assert [client.receive(), client.receive()] == ["hello", b"\1\2"]


def test_a_probe_is_answered_when_the_client_has_read_up_to_it(engine):
    client, _ = engine.start()
    client.send_text("probe")
    assert client.receive() == "caught up"


def test_a_long_binary_message_arrives_in_pieces_and_in_order(engine):
    client, upstream, machine = engine.start_with_upstream()
    client.send_binary(bytes(1_000_001))
    client.send_text("after it")
    received_bytes = 0
    while (message := upstream.receive()) != "after it":
        received_bytes += int(message.split()[0])
    assert received_bytes == 1_000_001
    pieces = [m for m in machine.inputs if isinstance(m, messages.ClientBinaryReceived)]
    assert max(len(piece.data) for piece in pieces) == PIECE_BYTES


def test_a_client_is_not_read_while_its_upstream_is_slow(engine):
    client, upstream, machine = engine.start_with_upstream()
    upstream.stop_reading()
    sent = 40
    for n in range(sent):
        client.send_text(str(n) * 20_000)
    assert any(describe(ClientActor)["is_paused"] for _ in range(10_000))
    upstream.read_again()
    assert [upstream.receive() for _ in range(sent)] == [str(n) * 20_000 for n in range(sent)]
    pauses = [it for it in machine.inputs if isinstance(it, messages.ClientPaused | messages.ClientResumed)]
    assert pauses
    assert pauses == ([messages.ClientPaused(), messages.ClientResumed()] * sent)[: len(pauses)]


def test_a_client_that_does_not_read_ends_its_session(engine):
    limits = ConnectionLimits(write_buffer_bytes=100_000, close_timeout_s=0.2)
    client, upstream, machine = engine.start_with_upstream(limits=limits)
    client.stop_reading()
    for _ in range(40):
        upstream.send_text("x" * 10_000)
    assert machine.ended.wait(WAIT_S)
    (overflowed,) = (it for it in machine.inputs if isinstance(it, messages.ClientOverflowed))
    assert overflowed.dropped_bytes > 100_000


def test_a_client_whose_dispatcher_is_stuck_gets_the_crash_frame(engine):
    client, _ = engine.start()
    actor = only(ClientActor)._actor_weakref()
    assert actor.has_last_frame
    actor.abort_from_outside()
    assert client.receive() == CRASH_FRAME
    assert closing(client) == (1011, "internal error")


def test_a_client_actor_that_is_stopped_sends_the_crash_frame_and_leaves_no_connection(engine):
    client, _ = engine.start()
    only(ClientActor).stop(timeout=WAIT_S)
    assert client.receive() == CRASH_FRAME
    assert isinstance(client.receive(), ConnectionClosed)


def test_a_client_beyond_its_rate_is_read_more_slowly_and_loses_nothing(engine):
    client, upstream, _ = engine.start_with_upstream(client_rates=Rates(messages_per_s=50))
    began_s = time.monotonic()
    for n in range(120):
        client.send_text(str(n))
    assert [upstream.receive() for _ in range(120)] == [str(n) for n in range(120)]
    assert describe(ClientActor)["throttled"] >= 1
    # All came at once, and the last of them were ahead of their time.
    assert time.monotonic() - began_s < WAIT_S
