"""New calls wait while the dispatchers lag, for a bounded time."""

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
def lag(dispatcher, monkeypatch):
    """An event that ends the lag of the dispatcher, which is over the limit at once."""
    monkeypatch.setattr(pacing, "LAG_LIMIT_S", 0.0)
    busy, over = threading.Event(), threading.Event()
    dispatcher.call_soon(lambda: (busy.set(), over.wait(WAIT_S)))
    assert busy.wait(WAIT_S)
    yield over
    over.set()


def test_a_call_does_not_wait_for_an_idle_dispatcher(dispatcher, monkeypatch):
    monkeypatch.setattr(pacing, "MAX_WAIT_S", 0.0)

    pacing.CallPacer().wait([dispatcher])


def test_a_call_waits_until_the_dispatcher_has_caught_up(dispatcher, lag):
    passed = threading.Event()
    caller = threading.Thread(target=lambda: (pacing.CallPacer().wait([dispatcher]), passed.set()))
    caller.start()

    assert not passed.wait(0.1)
    lag.set()
    assert passed.wait(WAIT_S)
    caller.join()


@pytest.mark.parametrize("callers", [1, 3])
def test_a_call_that_has_waited_for_the_longest_time_starts_in_any_case(dispatcher, lag, monkeypatch, callers):
    monkeypatch.setattr(pacing, "MAX_WAIT_S", 0.05)
    pacer = pacing.CallPacer()
    threads = [threading.Thread(target=pacer.wait, args=([dispatcher],)) for _ in range(callers)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert not any(thread.is_alive() for thread in threads)
    assert not lag.is_set()
    assert dispatcher.lag_s > pacing.LAG_LIMIT_S


@pytest.mark.slow
@pytest.mark.parametrize(("make", "waits"), [(Router, 0), (Router.standalone, 1)], ids=["a host's", "its own"])
def test_the_threads_of_a_host_are_never_paced(monkeypatch, make, waits):
    waited = []
    monkeypatch.setattr(pacing.CallPacer, "wait", lambda *_: waited.append(1))
    router = make(RouterConfig())
    served = Served(router)
    with connect(served.url("openai")) as client:
        assert "Welcome" in client.recv(WAIT_S)
    router.close(drain_s=0)
    served.close()
    assert len(waited) == waits
