"""gunicorn's arbiter, changed; tests/router/web/test_server.py has it in processes."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from router.web.arbiter import is_stopped


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
