"""gunicorn's arbiter, changed; tests/router/web/test_server.py has it in processes."""

import errno
import math
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from gunicorn.arbiter import Arbiter as GunicornArbiter
from gunicorn.errors import HaltServer

from router.web.arbiter import Arbiter, is_stopped


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_process_that_a_signal_stopped_is_seen_as_stopped():
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert is_stopped(process.pid)
        assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
        process.kill()
    assert not is_stopped(process.pid)


def test_a_process_that_is_not_there_is_not_stopped():
    assert not is_stopped(2**22 + 1)


def test_a_worker_that_cannot_be_forked_gives_its_slot_back(monkeypatch, caplog):
    arbiter, done = Arbiter.__new__(Arbiter), []
    arbiter._reloads = SimpleNamespace(template=None)
    arbiter.app = SimpleNamespace(begin_spawn=lambda: done.append("begun"), undo_spawn=lambda: done.append("undone"))

    def fail(_arbiter):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(GunicornArbiter, "spawn_worker", fail)
    arbiter._replace_worker()
    assert done == ["begun", "undone"]
    assert "no worker is started" in caplog.text


def test_a_worker_whose_file_cannot_be_made_leaves_the_umask_as_it_was(monkeypatch):
    arbiter = Arbiter.__new__(Arbiter)
    arbiter._reloads = SimpleNamespace(template=None)
    arbiter.app = SimpleNamespace(begin_spawn=lambda: None, undo_spawn=lambda: None)

    def fail(_arbiter):
        os.umask(0)  # as gunicorn's `WorkerTmp` does before it makes the file
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(GunicornArbiter, "spawn_worker", fail)
    before = os.umask(0o027)
    try:
        arbiter._replace_worker()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_the_keeper_learns_of_a_death_although_its_files_cannot_be_removed():
    arbiter, ended = Arbiter.__new__(Arbiter), []

    def fail(_arbiter, _worker):
        raise OSError(errno.EMFILE, "Too many open files")

    arbiter.cfg = SimpleNamespace(child_exit=fail)
    arbiter._keeper = SimpleNamespace(note_end=lambda pid, *, has_died: ended.append((pid, has_died)))
    worker = SimpleNamespace(pid=7, is_on_trial=False, tmp=SimpleNamespace(close=lambda: None))
    with pytest.raises(OSError, match="Too many"):
        arbiter._note_end(worker, -9)
    assert ended == [(7, True)]


def starting(monkeypatch, serving, times):
    """Return an arbiter whose workers serve as `serving` says, by a clock that shows `times`."""
    arbiter = Arbiter.__new__(Arbiter)
    arbiter._spawns_from_s, arbiter._failed_starts, arbiter._has_served = -math.inf, 0, False
    monkeypatch.setattr(Arbiter, "_serving", lambda _arbiter, _is_meant: serving)
    monkeypatch.setattr("router.web.arbiter.time.monotonic", lambda: times[0])
    return arbiter


def test_a_server_whose_first_worker_cannot_start_ends_with_the_code_of_the_worker(monkeypatch):
    arbiter = starting(monkeypatch, {8: False}, [100.0])
    with pytest.raises(HaltServer) as halted:
        arbiter._note_failed_start(7, 3)
    assert halted.value.exit_status == 3


def test_later_failures_wait_longer_and_longer_until_a_worker_serves(monkeypatch, caplog):
    serving, times = {8: True}, [100.0]
    arbiter = starting(monkeypatch, serving, times)
    arbiter._note_failed_start(7, 3)
    assert (arbiter._spawns_from_s, caplog.text) == (101.0, "")
    serving[8] = False
    pauses = []
    for _ in range(7):
        times[0] = arbiter._spawns_from_s
        arbiter._note_failed_start(7, 3)
        arbiter._note_failed_start(9, 3)  # of the same attempt
        pauses.append(arbiter._spawns_from_s - times[0])
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert caplog.text.count("no worker serves, and worker 7 could not start") == len(pauses)
    assert "worker 9" not in caplog.text
    serving[8] = True
    times[0] = arbiter._spawns_from_s
    arbiter._note_failed_start(7, 3)
    assert arbiter._spawns_from_s - times[0] == 1


def test_the_pause_stays_the_longest_one_however_often_a_worker_fails(monkeypatch):
    serving, times = {8: True}, [100.0]
    arbiter = starting(monkeypatch, serving, times)
    arbiter._note_failed_start(7, 3)
    serving[8] = False
    for _ in range(1100):
        times[0] = arbiter._spawns_from_s
        arbiter._note_failed_start(7, 3)
    assert arbiter._spawns_from_s - times[0] == 30
