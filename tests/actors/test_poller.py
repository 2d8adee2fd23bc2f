"""The pollers and wakers of Linux and of other systems do the same."""

import os
import select
import selectors
import socket
import threading

import pytest

from actors import poller
from actors.dispatcher import Dispatcher
from actors.poller import READABLE, WRITABLE, EventWaker, PipeWaker, PollerError, SelectorPoller, new_poller, new_waker
from tests.support.engine.dispatching import WAIT_S, on

POLLERS = {
    "epoll": select.epoll,
    "select": lambda: SelectorPoller(selectors.SelectSelector()),
    "poll": lambda: SelectorPoller(selectors.PollSelector()),
    "default": lambda: SelectorPoller(selectors.DefaultSelector()),
}


@pytest.fixture(params=POLLERS.values(), ids=POLLERS)
def polling(request):
    it = request.param()
    yield it
    it.close()


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        yield left, right


def of(events, sock):
    """Return the events of a socket, without the bits that epoll adds."""
    return [mask & (READABLE | WRITABLE) for descriptor, mask in events if descriptor == sock.fileno()]


@pytest.mark.slow
def test_a_descriptor_is_reported_for_the_events_it_is_watched_for(polling, pair):
    left, right = pair
    polling.register(left.fileno(), READABLE)
    assert polling.poll(0) == []
    right.send(b"x")
    assert of(polling.poll(WAIT_S), left) == [READABLE]
    polling.modify(left.fileno(), WRITABLE)
    assert of(polling.poll(WAIT_S), left) == [WRITABLE]
    polling.modify(left.fileno(), READABLE | WRITABLE)
    assert of(polling.poll(WAIT_S), left) == [READABLE | WRITABLE]
    polling.unregister(left.fileno())
    assert polling.poll(0) == []


@pytest.mark.slow
def test_a_peer_that_is_gone_makes_a_descriptor_readable(polling, pair):
    left, right = pair
    polling.register(left.fileno(), READABLE)
    right.close()
    assert of(polling.poll(WAIT_S), left) == [READABLE]


@pytest.mark.parametrize("kind", [EventWaker, PipeWaker])
def test_a_waker_wakes_until_it_is_cleared_and_refuses_once_it_is_closed(kind):
    waker, polling = kind(), select.epoll()
    polling.register(waker.descriptor, READABLE)
    for _ in range(3):
        waker.wake()
    assert polling.poll(0)
    waker.clear()
    waker.clear() if kind is PipeWaker else None
    assert polling.poll(0) == []
    polling.close()
    waker.close()
    waker.close()
    with pytest.raises((OSError, ValueError)):
        waker.wake()


def test_a_pipe_that_is_full_still_wakes():
    waker = PipeWaker()
    for _ in range(100_000):
        waker.wake()
    os.read(waker.descriptor, 1)
    waker.close()


def test_linux_gets_epoll_and_eventfd(monkeypatch):
    monkeypatch.delenv(poller.VARIABLE, raising=False)
    waker, polling = new_waker(), new_poller()
    assert isinstance(waker, EventWaker)
    assert isinstance(polling, select.epoll)
    waker.close()
    polling.close()


def test_a_system_without_them_gets_its_best_selector_and_a_pipe(monkeypatch):
    monkeypatch.delenv(poller.VARIABLE, raising=False)
    monkeypatch.delattr(os, "eventfd")
    waker, polling = new_waker(), new_poller()
    assert isinstance(waker, PipeWaker)
    assert isinstance(polling._selector, selectors.DefaultSelector)
    waker.close()
    polling.close()


def test_the_environment_forces_select_and_a_pipe(monkeypatch):
    monkeypatch.setenv(poller.VARIABLE, "select")
    dispatcher = Dispatcher("portable").start()
    assert isinstance(dispatcher._poller._selector, selectors.PollSelector)
    woken = threading.Event()
    dispatcher.call_soon(woken.set)
    assert woken.wait(WAIT_S)
    assert on(dispatcher, lambda: "runs") == "runs"
    assert dispatcher.stop()


def test_another_value_is_refused_with_a_sentence(monkeypatch):
    monkeypatch.setenv(poller.VARIABLE, "kqueue")
    with pytest.raises(PollerError, match="SWITCHBOARD_POLLER must be 'select', 'epoll' or unset, not 'kqueue'"):
        Dispatcher("odd")


def test_epoll_is_refused_with_a_sentence_where_there_is_none(monkeypatch):
    monkeypatch.setenv(poller.VARIABLE, "epoll")
    new_poller().close()
    monkeypatch.delattr(select, "epoll")
    with pytest.raises(PollerError, match="which only Linux has"):
        Dispatcher("elsewhere")
