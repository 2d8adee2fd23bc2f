"""Pools of threads, and the one for dials."""

import logging
import queue
import threading
import weakref
from contextlib import contextmanager

import pytest

from actors.connector import Connector
from actors.pool import Pool, PoolClosed, PoolFull


@pytest.fixture
def connector():
    connector = Connector(threads=2)
    yield connector
    connector.close(timeout_s=5)


@pytest.fixture
def results():
    return queue.SimpleQueue()


def test_work_is_done_on_another_thread_and_its_result_told(connector, results):
    connector.submit(threading.current_thread, results.put)
    worker = results.get(timeout=5)
    assert worker is not threading.current_thread()
    assert worker.daemon
    assert worker.name.startswith("connector-")


def test_an_exception_is_a_result_too(connector, results):
    connector.submit(lambda: 1 / 0, results.put)
    assert isinstance(results.get(timeout=5), ZeroDivisionError)


def test_no_more_than_its_threads_work_at_once_and_none_before_it_is_needed(connector, results):
    assert connector._threads == []
    gate, begun = threading.Event(), queue.SimpleQueue()

    def work():
        begun.put(None)
        gate.wait(5)
        return threading.current_thread().name

    for _ in range(5):
        connector.submit(work, results.put)
    for _ in range(2):
        begun.get(timeout=5)
    assert begun.empty()
    gate.set()
    assert {results.get(timeout=5) for _ in range(5)} == {"connector-0", "connector-1"}


def test_a_thread_that_is_free_is_used_again(connector):
    for _ in range(10):
        done = threading.Event()
        connector.submit(lambda: None, lambda _result, done=done: done.set())
        assert done.wait(5)
    assert len(connector._threads) <= 2


def test_close_does_not_wait_for_work_that_hangs_and_ends_what_was_not_begun(results):
    connector = Connector(threads=1)
    gate, begun = threading.Event(), threading.Event()
    connector.submit(lambda: begun.set() or gate.wait(5), results.put)
    assert begun.wait(5)
    connector.submit(lambda: "never begun", results.put)
    connector.close()
    refused = results.get(timeout=5)
    assert isinstance(refused, PoolClosed)
    assert str(refused) == "the connector is closed"
    gate.set()
    assert results.get(timeout=5) is True, "done is told although the pool is closed"
    connector.close(timeout_s=5)
    assert not any(thread.is_alive() for thread in connector._threads)


def test_a_pool_may_be_closed_by_what_it_does(results):
    pool = Pool("pool", threads=2)
    pool.submit(lambda: pool.close(timeout_s=5), results.put)
    assert results.get(timeout=5) is None
    for thread in pool._threads:
        thread.join(5)
        assert not thread.is_alive()


def test_after_close_work_is_refused(connector, results):
    connector.close()
    connector.submit(lambda: "x", results.put)
    assert isinstance(results.get(timeout=5), PoolClosed)


def test_the_latest_outcomes_are_kept(connector, results):
    for number in range(70):
        connector.submit(lambda number=number: 1 // (number % 2), results.put)
    for _ in range(70):
        results.get(timeout=5)
    outcomes = connector.outcomes()
    assert len(outcomes) == 64
    assert sum(outcome.is_ok for outcome in outcomes) in range(30, 35)
    assert [outcome.at_s for outcome in outcomes] == sorted(outcome.at_s for outcome in outcomes)


def test_a_done_that_fails_is_logged_and_harms_nobody(connector, results, caplog):
    with caplog.at_level(logging.ERROR):
        connector.submit(lambda: "x", lambda _result: 1 / 0)
        connector.submit(lambda: "still here", results.put)
        assert results.get(timeout=5) == "still here"
    connector.close(timeout_s=5)
    assert "ZeroDivisionError" in caplog.text


@pytest.fixture
def full(results):
    """A pool of one thread that works, with one piece of work that waits: its name is "waits"."""
    pool, gate, begun = Pool("worker", 1, max_waiting=1), threading.Event(), threading.Event()
    pool.submit(lambda: begun.set() or gate.wait(5), results.put)
    assert begun.wait(5)
    waits = pool.submit(lambda: "waits", results.put)
    yield pool, gate, waits
    gate.set()
    pool.close(timeout_s=5)


def test_what_finds_the_queue_full_fails_at_once_and_there_is_room_again_when_work_is_done(full, results):
    pool, gate, _ = full
    pool.submit(lambda: "too much", results.put)
    refused = results.get_nowait()
    assert isinstance(refused, PoolFull)
    assert str(refused) == "the worker has too much to do"
    gate.set()
    assert [results.get(timeout=5), results.get(timeout=5)] == [True, "waits"]
    done = threading.Event()
    pool.submit(done.set, lambda _result: None)
    assert done.wait(5)


def test_work_that_is_withdrawn_is_not_begun_and_makes_room(full, results):
    pool, gate, waits = full
    assert waits.withdraw() is True
    assert waits.withdraw() is False
    pool.submit(lambda: "instead", results.put)
    gate.set()
    assert [results.get(timeout=5), results.get(timeout=5)] == [True, "instead"]


def test_work_that_is_begun_cannot_be_withdrawn(results):
    pool, gate, begun = Pool("worker", 1), threading.Event(), threading.Event()
    job = pool.submit(lambda: begun.set() or gate.wait(5), results.put)
    assert begun.wait(5)
    assert job.withdraw() is False
    gate.set()
    assert results.get(timeout=5) is True
    pool.close(timeout_s=5)


def test_an_idle_thread_holds_on_to_nothing(connector):
    class Work:
        def __call__(self):
            pass

    work, done = Work(), threading.Event()
    gone = weakref.ref(work, lambda _: done.set())
    connector.submit(work, lambda _result: None)
    del work
    assert done.wait(5)
    assert gone() is None


# No thread can be started: the process, or the machine, has as many as it may have.


@contextmanager
def no_more_threads():
    """A stack that fits into no machine's memory, which is what the system then says of threads, too."""
    threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(0)


def test_where_no_thread_can_be_started_work_is_refused_and_later_work_is_done(connector, results, caplog):
    with no_more_threads():
        connector.submit(lambda: 1, results.put)
        assert isinstance(results.get(timeout=5), PoolFull)
    assert "no thread can be started" in caplog.text
    connector.submit(lambda: 2, results.put)
    assert results.get(timeout=5) == 2


def test_where_no_other_thread_can_be_started_work_waits_for_those_that_there_are(connector, results):
    gate = threading.Event()
    connector.submit(lambda: gate.wait(5), results.put)
    with no_more_threads():
        connector.submit(lambda: 2, results.put)
    gate.set()
    assert [results.get(timeout=5) for _ in range(2)] == [True, 2]
