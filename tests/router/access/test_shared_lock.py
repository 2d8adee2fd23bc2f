"""The lock over the processes of a server."""

import os
import signal
import sys
import threading
import time

import pytest

from router.access.shared_lock import PATIENCE_S, SharedLock

pytestmark = pytest.mark.slow


@pytest.fixture
def holder():
    """A lock, and a process that holds it until the test is over or kills it."""
    lock = SharedLock()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with lock.held():
            os.write(writer, b"!")
            signal.pause()
        os._exit(0)
    os.read(reader, 1)
    yield lock, pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)


def held_after_s(lock):
    begun_s = time.monotonic()
    with lock.held():
        return time.monotonic() - begun_s


def test_a_free_lock_is_held_at_once():
    assert held_after_s(SharedLock()) < PATIENCE_S


def test_a_process_that_was_killed_holds_nothing(holder):
    lock, pid = holder
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert held_after_s(lock) < PATIENCE_S


def test_a_process_that_was_stopped_keeps_the_others_for_a_moment_alone(holder, caplog):
    lock, pid = holder
    os.kill(pid, signal.SIGSTOP)
    assert PATIENCE_S <= held_after_s(lock) < PATIENCE_S + 1
    assert "another process holds the lock" in caplog.text


@pytest.fixture
def rarely_switching():
    """An interpreter that takes its lock from no thread within the test."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(60)
    yield
    sys.setswitchinterval(before_s)


@pytest.mark.usefixtures("rarely_switching")
def test_no_other_thread_runs_while_a_free_lock_is_taken_and_released():
    lock, has_begun, is_over, turns = SharedLock(), threading.Event(), threading.Event(), []

    def run_whenever_it_may():
        has_begun.set()
        while not is_over.is_set():
            turns.append(None)
            os.sched_yield()

    thread = threading.Thread(target=run_whenever_it_may)
    thread.start()
    has_begun.wait()
    before = len(turns)
    for _ in range(1000):
        with lock.held():
            pass
    after = len(turns)
    is_over.set()
    thread.join()
    assert before == after
