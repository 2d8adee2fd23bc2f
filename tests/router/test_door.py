"""New calls wait while those who talk already do, but not for ever."""

import threading

import pytest
from websockets.sync.client import connect

from actors.dispatcher import Dispatcher
from router import Router, RouterConfig, pacing
from tests.support.faults.world import Served

WAIT_S = 5.0


@pytest.fixture
def dispatcher():
    dispatcher = Dispatcher("dispatcher-test").start()
    yield dispatcher
    dispatcher.stop()


@pytest.fixture
def behind(dispatcher, monkeypatch):
    """The dispatcher is kept busy until this event is set, and that is at once too long."""
    monkeypatch.setattr(pacing, "LAG_LIMIT_S", 0.0)
    busy, over = threading.Event(), threading.Event()
    dispatcher.call_soon(lambda: (busy.set(), over.wait(WAIT_S)))
    assert busy.wait(WAIT_S)
    yield over
    over.set()


def test_at_a_dispatcher_that_rests_nobody_waits(dispatcher, monkeypatch):
    monkeypatch.setattr(pacing, "WAIT_S", 0.0)

    pacing.CallPacer().wait([dispatcher])


def test_a_call_waits_until_the_dispatcher_has_caught_up(dispatcher, behind):
    passed = threading.Event()
    caller = threading.Thread(target=lambda: (pacing.CallPacer().wait([dispatcher]), passed.set()))
    caller.start()

    assert not passed.wait(0.1)
    behind.set()
    assert passed.wait(WAIT_S)
    caller.join()


@pytest.mark.parametrize("callers", [1, 3])
def test_whoever_has_waited_long_enough_is_let_in_all_the_same(dispatcher, behind, monkeypatch, callers):
    monkeypatch.setattr(pacing, "WAIT_S", 0.05)
    the_door = pacing.CallPacer()
    threads = [threading.Thread(target=the_door.wait, args=([dispatcher],)) for _ in range(callers)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert not any(thread.is_alive() for thread in threads)
    assert not behind.is_set()
    assert dispatcher.lag_s > pacing.LAG_LIMIT_S


@pytest.mark.slow
@pytest.mark.parametrize(("make", "waits"), [(Router, 0), (Router.standalone, 1)], ids=["a host's", "its own"])
def test_the_threads_of_a_host_never_wait_at_the_door(monkeypatch, make, waits):
    waited = []
    monkeypatch.setattr(pacing.CallPacer, "wait", lambda *_: waited.append(1))
    router = make(RouterConfig())
    served = Served(router)
    with connect(served.url("openai")) as client:
        assert "Welcome" in client.recv(WAIT_S)
    router.close(drain_s=0)
    served.close()
    assert len(waited) == waits
