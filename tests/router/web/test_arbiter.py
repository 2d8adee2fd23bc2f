"""gunicorn's arbiter, changed; tests/router/web/test_server.py has it in processes."""

import errno
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from gunicorn.arbiter import Arbiter as GunicornArbiter

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
