"""Dispatchers that die or stall are noticed; those that idle or work are left alone."""

import threading

import pytest

from actors.connections.base import ConnectionClosed
from actors.connections.memory import memory_pair
from actors.dispatcher import Dispatcher
from actors.watchdog import STALLED_LOOKS, Watchdog
from tests.support.processes.children import assert_comes_back

WAIT_S = 5.0


class Abortable:
    def __init__(self):
        self.forsaken = threading.Event()

    def abort_from_outside(self):
        self.forsaken.set()


@pytest.fixture
def ward():
    return Abortable()


@pytest.fixture
def watched(ward):
    """A dispatcher with a ward, and a watchdog that looks when it is told to."""
    dispatcher = Dispatcher("patient").start()
    dispatcher.call_soon(lambda: dispatcher.register(ward))
    yield dispatcher, Watchdog([dispatcher])
    dispatcher.stop()


def look(watchdog, times=1):
    for _ in range(times):
        watchdog._watched[0].look()


def caught_up(dispatcher):
    """Wait until what was called has run."""
    done = threading.Event()
    dispatcher.call_soon(done.set)
    assert done.wait(WAIT_S)


def held_up(dispatcher):
    """Have a dispatcher do nothing but wait for an event."""
    held, go_on = threading.Event(), threading.Event()
    dispatcher.call_soon(lambda: (held.set(), go_on.wait(WAIT_S)))
    assert held.wait(WAIT_S)
    return go_on


def test_one_that_has_nothing_to_do_is_well_and_is_not_woken(watched):
    dispatcher, watchdog = watched
    caught_up(dispatcher)
    turns = dispatcher.turns
    look(watchdog, 3 * STALLED_LOOKS)
    assert watchdog.problems() == []
    assert dispatcher.turns <= turns + 1


def test_one_that_is_busy_is_well(watched):
    dispatcher, watchdog = watched
    for _ in range(3 * STALLED_LOOKS):
        go_on = held_up(dispatcher)
        look(watchdog)
        go_on.set()
    assert watchdog.problems() == []


def test_one_that_stalls_is_given_up_with_the_place_where_it_is_and_its_wards_are_told(watched, ward, caplog):
    dispatcher, watchdog = watched
    go_on = held_up(dispatcher)
    look(watchdog, STALLED_LOOKS)
    assert watchdog.problems() == []
    look(watchdog)
    assert watchdog.problems() == ["patient is stalled"]
    assert ward.forsaken.is_set()
    assert "go_on.wait(WAIT_S)" in caplog.text
    go_on.set()
    caught_up(dispatcher)
    look(watchdog)
    assert watchdog.problems() == []


def test_one_that_dies_is_given_up(watched, ward, caplog):
    dispatcher, watchdog = watched

    def die():
        raise SystemExit("nobody catches this")

    dispatcher.call_soon(die)
    dispatcher._thread.join(WAIT_S)
    look(watchdog)
    assert watchdog.problems() == ["patient is dead"]
    assert ward.forsaken.is_set()
    assert "patient died" in caplog.text
    assert "nobody catches this" in caplog.text


def test_a_ward_that_was_disowned_is_not_told(watched, ward):
    dispatcher, watchdog = watched
    dispatcher.call_soon(lambda: dispatcher.unregister(ward))
    caught_up(dispatcher)
    go_on = held_up(dispatcher)
    look(watchdog, STALLED_LOOKS + 1)
    go_on.set()
    assert not ward.forsaken.is_set()


def test_it_looks_by_itself_until_it_is_stopped(ward):
    dispatcher = Dispatcher("patient").start()
    dispatcher.call_soon(lambda: dispatcher.register(ward))
    watchdog = Watchdog([dispatcher], look_s=0.01).start()
    go_on = held_up(dispatcher)
    assert ward.forsaken.wait(WAIT_S)
    go_on.set()
    watchdog.stop()
    assert dispatcher.stop()


# What a connection does.


class Listener:
    def on_closed(self, closed):
        """Nothing."""


def opened(dispatcher):
    connection, peer = memory_pair()
    dispatcher.call_soon(lambda: connection.open(dispatcher, Listener()))
    caught_up(dispatcher)
    return connection, peer


def test_a_connection_says_a_last_word_from_another_thread(watched):
    dispatcher, _ = watched
    connection, peer = opened(dispatcher)
    go_on = held_up(dispatcher)
    connection.abort_from_outside("sorry")
    assert peer.receive() == "sorry"
    closed = peer.receive()
    assert isinstance(closed, ConnectionClosed)
    assert closed.code == 1011
    go_on.set()
    caught_up(dispatcher)


def test_nothing_is_said_to_a_peer_in_the_middle_of_a_message(watched):
    dispatcher, _ = watched
    connection, peer = opened(dispatcher)
    peer.stop_reading()
    dispatcher.call_soon(lambda: connection.send_text("half of this was read"))
    caught_up(dispatcher)
    caught_up(dispatcher)
    go_on = held_up(dispatcher)
    connection.abort_from_outside("sorry")
    assert isinstance(peer.receive(), ConnectionClosed)
    go_on.set()
    caught_up(dispatcher)


def test_to_see_where_a_thread_is_stops_no_other_for_good():
    assert_comes_back("actors.watchdog", "_stack_of", 0)
