"""Pools of threads for work that blocks."""

import gc
import logging
import queue
import threading
import weakref
from contextlib import contextmanager

import pytest

from actors.pool import Pool, PoolClosed, PoolFull


@pytest.fixture
def pool():
    pool = Pool("worker", threads=2)
    yield pool
    pool.close(timeout_s=5)


@pytest.fixture
def results():
    return queue.SimpleQueue()


def test_work_is_done_on_another_thread_and_its_result_delivered_there(pool, results):
    pool.submit(threading.current_thread, results.put)
    worker = results.get(timeout=5)
    assert worker is not threading.current_thread()
    assert worker.daemon
    assert worker.name.startswith("worker-")


def test_an_exception_is_a_result_too(pool, results):
    pool.submit(lambda: 1 / 0, results.put)
    assert isinstance(results.get(timeout=5), ZeroDivisionError)


def test_no_more_than_its_threads_work_at_once_and_none_before_it_is_needed(pool, results):
    assert pool._threads == []
    gate, begun = threading.Event(), queue.SimpleQueue()

    def work():
        begun.put(None)
        gate.wait(5)
        return threading.current_thread().name

    for _ in range(5):
        pool.submit(work, results.put)
    for _ in range(2):
        begun.get(timeout=5)
    assert begun.empty()
    gate.set()
    assert {results.get(timeout=5) for _ in range(5)} == {"worker-0", "worker-1"}


def test_the_threads_of_a_burst_end_without_work_but_for_one(results):
    pool = Pool("worker", threads=3, idle_s=0.05)
    gate = threading.Barrier(3)
    for _ in range(3):
        pool.submit(lambda: gate.wait(5) and None, lambda _: results.put(threading.current_thread()))
    burst = [results.get(timeout=5) for _ in range(3)]
    remaining = burst[:]
    while len(remaining) > 1:  # which of them remains is not known
        for thread in burst:
            thread.join(0.05)
        remaining = [thread for thread in burst if thread.is_alive()]
    assert pool._threads == remaining

    for _ in range(3):
        pool.submit(lambda: gate.wait(5) and None, lambda _: results.put(threading.current_thread()))
    assert len({results.get(timeout=5) for _ in range(3)}) == 3, "a further burst starts them again"
    pool.close(timeout_s=5)


def test_work_is_done_whenever_a_thread_ends(results):
    """Each job comes in about when the second thread stops waiting."""
    pool = Pool("worker", threads=2, idle_s=0.001)
    for number in range(2000):
        pool.submit(lambda number=number: number, results.put)
        if number % 2:
            assert {results.get(timeout=5), results.get(timeout=5)} == {number - 1, number}
    pool.close(timeout_s=5)


def test_a_thread_that_is_free_is_used_again(pool):
    for _ in range(10):
        done = threading.Event()
        pool.submit(lambda: None, lambda _result, done=done: done.set())
        assert done.wait(5)
    assert len(pool._threads) <= 2


def test_close_does_not_wait_for_work_that_hangs_and_ends_what_was_not_begun(results):
    pool = Pool("worker", threads=1)
    gate, begun = threading.Event(), threading.Event()
    pool.submit(lambda: begun.set() or gate.wait(5), results.put)
    assert begun.wait(5)
    pool.submit(lambda: "never begun", results.put)
    pool.close()
    refused = results.get(timeout=5)
    assert isinstance(refused, PoolClosed)
    assert str(refused) == "the worker is closed"
    gate.set()
    assert results.get(timeout=5) is True, "done is called although the pool is closed"
    pool.close(timeout_s=5)
    assert not any(thread.is_alive() for thread in pool._threads)


def test_a_pool_may_be_closed_by_its_own_work(pool, results):
    pool.submit(lambda: pool.close(timeout_s=5), results.put)
    assert results.get(timeout=5) is None
    for thread in pool._threads:
        thread.join(5)
        assert not thread.is_alive()


def test_after_close_work_is_refused(pool, results):
    pool.close()
    pool.submit(lambda: "x", results.put)
    assert isinstance(results.get(timeout=5), PoolClosed)


def test_a_done_that_fails_is_logged_and_its_thread_lives_on(pool, results, caplog):
    with caplog.at_level(logging.ERROR):
        pool.submit(lambda: "x", lambda _result: 1 / 0)
        pool.submit(lambda: "still here", results.put)
        assert results.get(timeout=5) == "still here"
    pool.close(timeout_s=5)
    assert "ZeroDivisionError" in caplog.text


@pytest.fixture
def full(results):
    """A pool of one thread that works, with one piece of work that waits."""
    pool, gate, begun = Pool("worker", 1, max_waiting=1), threading.Event(), threading.Event()
    pool.submit(lambda: begun.set() or gate.wait(5), results.put)
    assert begun.wait(5)
    waits = pool.submit(lambda: "waits", results.put)
    yield pool, gate, waits
    gate.set()
    pool.close(timeout_s=5)


def test_work_that_finds_the_queue_full_fails_at_once_and_there_is_room_again_when_work_is_done(full, results):
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


def test_an_idle_thread_keeps_no_reference_to_its_last_work(pool):
    class Work:
        def __call__(self):
            pass

    work, done = Work(), threading.Event()
    gone = weakref.ref(work, lambda _: done.set())
    pool.submit(work, lambda _result: None)
    del work
    assert done.wait(5)
    assert gone() is None


def test_what_failed_work_had_in_use_is_freed_without_the_collector(pool):
    class Data:
        pass

    def fail():
        data = Data()
        weakref.finalize(data, freed.set)
        raise ValueError

    freed = threading.Event()
    gc.disable()
    try:
        pool.submit(fail, lambda _result: None)
        assert freed.wait(5)
    finally:
        gc.enable()


# No thread can be started: the process, or the machine, has as many as it may have.


@contextmanager
def no_more_threads():
    """Ask for stacks that fit into no machine's memory: the system then refuses to start threads."""
    threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(0)


def test_work_is_refused_where_no_thread_can_be_started_and_later_work_is_done(pool, results, caplog):
    with no_more_threads():
        pool.submit(lambda: 1, results.put)
        assert isinstance(results.get(timeout=5), PoolFull)
    assert "no thread can be started" in caplog.text
    pool.submit(lambda: 2, results.put)
    assert results.get(timeout=5) == 2


def test_work_waits_for_the_existing_threads_where_no_other_can_be_started(pool, results):
    gate = threading.Event()
    pool.submit(lambda: gate.wait(5), results.put)
    with no_more_threads():
        pool.submit(lambda: 2, results.put)
    gate.set()
    assert [results.get(timeout=5) for _ in range(2)] == [True, 2]
