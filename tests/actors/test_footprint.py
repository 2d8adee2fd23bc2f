"""The memory of all peers together has a bound, and the greediest gives way."""

import threading

import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, ConnectionLimits, Ending
from actors.connections.frames import BINARY, FIN, WHOLE_TEXT, _frame, text_frames
from actors.footprint import STEP_BYTES, Footprint
from tests.support.engine.sessions import EngineHarness, ScriptedMachine

BUSY_FRAME = '{"type":"Error","code":"SERVER_BUSY"}'
MEGA = 1024 * 1024


@pytest.fixture
def footprint():
    return Footprint(4 * MEGA)


def holding(footprint, name, evicted):
    return footprint.holding(name, lambda had_bytes: evicted.append((name, had_bytes)))


def test_the_greediest_gives_way_when_the_bound_is_exceeded(footprint, caplog):
    evicted = []
    first, second, third = (holding(footprint, name, evicted) for name in "abc")
    first.note(MEGA)
    second.note(3 * MEGA)
    assert evicted == []
    third.note(MEGA // 2)
    assert evicted == [("b", 3 * MEGA)]
    assert footprint.evictions == 1
    assert footprint.total_bytes == MEGA + MEGA // 2
    assert "b holds 3145728 bytes" in caplog.text


def test_the_one_that_exceeds_the_bound_may_be_the_greediest(footprint):
    evicted = []
    holding(footprint, "a", evicted).note(MEGA)
    holding(footprint, "b", evicted).note(5 * MEGA)
    assert evicted == [("b", 5 * MEGA)]


def test_small_changes_are_passed_over_and_a_release_is_complete(footprint):
    it = holding(footprint, "a", [])
    it.note(STEP_BYTES - 1)
    assert footprint.total_bytes == 0
    it.note(2 * STEP_BYTES)
    it.note(3 * STEP_BYTES - 1)
    assert footprint.total_bytes == 2 * STEP_BYTES
    it.release()
    assert footprint.total_bytes == 0


def test_holdings_of_many_threads_add_up(footprint):
    footprint.max_bytes = 10**12

    def work():
        it = holding(footprint, "a", [])
        for size in range(200):
            it.note(size * STEP_BYTES)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert footprint.total_bytes == 8 * 199 * STEP_BYTES


def unfinished(size):
    """Make the beginning of a message of twice that size."""
    whole = _frame(FIN | BINARY, bytes(2 * size), mask=True)
    return whole[:size]


@pytest.fixture
def house(dispatcher, footprint):
    house = EngineHarness(dispatcher)
    yield house, {"limits": ConnectionLimits(footprint=footprint, close_timeout_s=0.2), "footprint": footprint}
    house.close()
    assert footprint.total_bytes == 0


def test_a_client_with_the_largest_unfinished_message_is_closed_and_the_others_go_on(house, footprint):
    engine, options = house
    greedy, _ = engine.start(busy_frame=BUSY_FRAME, **options)
    other, _ = engine.start(busy_frame=BUSY_FRAME, **options)
    greedy.send_bytes(unfinished(3 * MEGA))
    other.send_bytes(unfinished(2 * MEGA))
    assert greedy.receive() == BUSY_FRAME
    assert greedy.receive() == ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1013, reason="server busy")
    assert footprint.evictions == 1
    other.close()


def test_a_client_that_does_not_read_the_most_is_closed(house, footprint):
    engine, options = house
    limits = ConnectionLimits(footprint=footprint, write_buffer_bytes=64 * MEGA, close_timeout_s=5)
    client, upstream, _ = engine.start_with_upstream(busy_frame=BUSY_FRAME, **{**options, "limits": limits})
    client.stop_reading()
    for _ in range(5):
        upstream.send_text("x" * MEGA)
    while not footprint.evictions:
        engine.sessions()
    client.read_again()
    received = client.receive()
    while received != BUSY_FRAME:
        received = client.receive()
    assert client.receive().code == 1013


class KeepingMachine(ScriptedMachine):
    """A machine that keeps the texts of its client, up to a mark."""

    def held_bytes(self):
        return sum(len(it.text) for it in self.inputs if hasattr(it, "text"))


def test_a_session_that_keeps_the_most_is_closed(house, footprint):
    engine, options = house
    client, _ = engine.start(machine=KeepingMachine(), busy_frame=BUSY_FRAME, **options)
    for _ in range(5):
        client.send_bytes(*text_frames("x" * MEGA, mask=True, max_frame_bytes=2 * MEGA))
    received = client.receive()
    assert received == BUSY_FRAME
    assert client.receive().code == 1013
    assert footprint.evictions == 1


def test_a_client_whose_long_messages_wait_for_a_slow_upstream_is_closed(house, footprint):
    engine, options = house
    client, upstream, _ = engine.start_with_upstream(machine=ForwardingMachine(), busy_frame=BUSY_FRAME, **options)
    upstream.stop_reading()
    footprint.max_bytes = MEGA
    client.send_binary(bytes(3 * MEGA))
    assert client.receive() == BUSY_FRAME
    assert client.receive().code == 1013
    assert footprint.evictions == 1
    upstream.read_again()  # its close handshake would wait for its deadline


class ForwardingMachine(ScriptedMachine):
    """A machine that sends the whole of each binary message on, as text."""

    def handle(self, message, now_s):
        if isinstance(message, messages.ClientBinaryReceived):
            return [messages.SendToUpstream("x" * len(message.data), self.generation)]
        return super().handle(message, now_s)


def test_a_peer_whose_memory_has_left_meanwhile_goes_on(house, footprint):
    engine, options = house
    client, _ = engine.start(busy_frame=BUSY_FRAME, **options)
    text = _frame(WHOLE_TEXT, b"end" + b" " * (3 * MEGA), mask=True)
    client.send_bytes(text[: 3 * MEGA])
    other = holding(footprint, "other", evicted := [])
    while footprint.total_bytes < 2 * MEGA:
        engine.sessions()
    held, go_on = threading.Event(), threading.Event()
    engine.dispatcher.call_soon(lambda: (held.set(), go_on.wait(5)))
    assert held.wait(5)
    client.send_bytes(text[3 * MEGA :])  # before it is asked to give way
    other.note(2 * MEGA)
    go_on.set()
    client.send_text("log")
    assert client.receive() == "logged"
    assert evicted == []
    other.release()
    client.send_text("end")
    assert client.receive() == "bye"
