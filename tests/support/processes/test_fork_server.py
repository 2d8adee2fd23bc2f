"""The fork server: a forked program finds everything as a program that Python has just started."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import fork_server
from tests.support.processes.children import DEVELOPMENT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not fork_server.IS_POSSIBLE, reason="only on Linux")]

PROGRAM = """
import atexit, json, os, signal, sys, threading
atexit.register(print, "at the end")
facts = {
    "argv": sys.argv, "orig_argv": sys.orig_argv[1:], "path": sys.path[:2],
    "cwd": os.getcwd(), "environ": dict(os.environ),
    "is_main": __name__ == "__main__" and threading.current_thread() is threading.main_thread(),
    "parent": os.getppid(), "leads": os.getpgrp() == os.getpid() == os.getsid(0), "dev": sys.flags.dev_mode,
    "warnoptions": sys.warnoptions, "typed": sys.stdin.read(),
    "mask": [str(it) for it in signal.pthread_sigmask(0, ())],
    "descriptors": sorted(os.listdir("/proc/self/fd"), key=int)[:4],
}
print(json.dumps(facts))
print("an error", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "folder" / "program.py"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    return path


def started(command, env, cwd):
    """Run a program with `subprocess`. Return its status and its output."""
    ended = subprocess.run(command, env=env, cwd=cwd, input=b"typed", capture_output=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def forked(command, env, cwd, flags, hash_seed="random"):
    """Run a program with the fork server. Return its status and its output."""
    files = [Path(cwd, name) for name in ("stdin", "stdout", "stderr")]
    files[0].write_bytes(b"typed")
    with files[0].open() as stdin, files[1].open("w") as stdout, files[2].open("w") as stderr:
        streams = [it.fileno() for it in (stdin, stdout, stderr)]
        process = fork_server.server(flags, ("json",), hash_seed).start(command, env, str(cwd), streams)
        status = process.wait(20.0)
    return status, files[1].read_bytes(), files[2].read_bytes()


@pytest.mark.parametrize("flags", [(), DEVELOPMENT])
@pytest.mark.parametrize("status", [0, 3])
def test_a_forked_program_finds_what_a_started_one_finds(program, tmp_path, flags, status):
    command = [sys.executable, *flags, str(program), str(status), "more"]
    env = {**os.environ, "ROUTER_PORT": "1", "PYTHONPATH": str(tmp_path)}
    assert fork_server.fits(env)
    results = [started(command, env, tmp_path), forked(command, env, tmp_path, flags)]
    ends = [(number, output.splitlines()[1:], errors) for number, output, errors in results]
    assert ends[0] == ends[1] == (status, [b"at the end"], b"an error\n")
    new, warm = (json.loads(output.splitlines()[0]) for _, output, _ in results)
    assert (new.pop("leads"), warm.pop("leads")) == (False, True)  # `Child` asks `subprocess` for a session, too
    assert warm.pop("environ") == env
    del new["environ"]
    assert warm == new


def test_each_hash_seed_has_a_server(program, tmp_path):
    program.write_text("print(hash('text'), hash('another'))")
    command = [sys.executable, str(program)]
    one = {**os.environ, "PYTHONHASHSEED": "1"}
    assert forked(command, one, tmp_path, (), "1") == started(command, one, tmp_path)
    assert forked(command, one, tmp_path, (), "2") != started(command, one, tmp_path)


def test_a_program_that_a_signal_ends_has_its_number_as_status(tmp_path):
    path = tmp_path / "endless.py"
    path.write_text("import threading; threading.Event().wait()")
    with Path(os.devnull).open("r+") as nothing:
        streams = [nothing.fileno()] * 3
        process = fork_server.server((), ("json",)).start([sys.executable, str(path)], dict(os.environ), "/", streams)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert process.poll() is None
        process.kill()
        assert process.wait(20.0) == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)  # to nobody
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("env", "can_fork"),
    [
        ({"ROUTER_PORT": "1"}, True),
        ({"PYTHONPATH": "/x"}, True),
        ({"PYTHONDEVMODE": "1"}, False),
        ({"LC_ALL": "C"}, False),
    ],
)
def test_a_variable_that_counts_at_the_start_of_python_needs_a_new_one(env, can_fork):
    assert fork_server.fits({**os.environ, **env}) is can_fork
