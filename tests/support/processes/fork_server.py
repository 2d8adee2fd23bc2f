"""A server that has imported the modules of a program, and forks a process for each start of the program.

The import of the router takes half a second of CPU time, which two hundred tests would pay. A forked process is a child
of the tests' process, as a process of `subprocess` is: the server forks twice, and meanwhile the tests' process is the
reaper of orphans (prctl(2)). The process that is forked has its own session, directory, environment and streams.
"""

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
IS_POSSIBLE = sys.platform == "linux"
START_S = 60.0
MAX_BYTES = 128 * 1024
PR_SET_CHILD_SUBREAPER = 36

AT_START = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_", "GLIBC_")
"""The prefixes of variables that count only at the start of an interpreter."""
FITTING = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONHASHSEED"}
"""Such variables that a forked process takes over nevertheless. Each hash seed has a server."""

_lock = threading.Lock()


class Process:
    """A forked process, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status; None if the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end of the process, and return its exit status.

        Raises:
            subprocess.TimeoutExpired: the process has not ended in time.
        """
        if self.returncode is None:
            end = os.pidfd_open(self.pid)
            try:
                ended = select.poll()
                ended.register(end)
                ended.poll(None if timeout_s is None else timeout_s * 1000)
            finally:
                os.close(end)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("a forked process", timeout_s or 0.0)
        return status

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """A fork server whose interpreter has these flags, such as `-X dev`, and has imported these modules."""

    def __init__(self, flags: Sequence[str], modules: Sequence[str], hash_seed: str = "random") -> None:
        self._flags = flags
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, *flags, __file__, str(theirs.fileno()), *modules],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._channel.settimeout(START_S)

    def start(self, argv: Sequence[str], env: Mapping[str, str], cwd: str, streams: Sequence[int]) -> Process:
        """Start a program of Python: its command line, and descriptors for its three standard streams."""
        program = argv[1 + len(self._flags) :]
        sys.audit("subprocess.Popen", argv[0], list(argv), cwd, dict(env))  # a fast test must not do this
        order = json.dumps([os.getpid(), program, dict(env), cwd]).encode()
        with _lock:
            _set_subreaper(True)
            try:
                socket.send_fds(self._channel, [order], list(streams))
                return Process(int(self._channel.recv(MAX_BYTES)))
            finally:
                _set_subreaper(False)

    def close(self) -> None:
        """End the server; kill it if it does not end in time. Its processes continue."""
        self._channel.close()
        try:
            self._process.wait(START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(START_S)


@functools.cache
def server(flags: tuple[str, ...], modules: tuple[str, ...], hash_seed: str = "random") -> ForkServer:
    """Return the fork server of this process with these flags, modules and seed."""
    started = ForkServer(flags, modules, hash_seed)
    atexit.register(started.close)
    return started


def fits(env: Mapping[str, str]) -> bool:
    """Whether a forked process can have this environment: no variable differs that counts at an interpreter's start."""
    names = {name for name in {*env, *os.environ} if name.startswith(AT_START)} - FITTING
    return IS_POSSIBLE and all(env.get(name) == os.environ.get(name) for name in names)


def _set_subreaper(value: bool) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(value), 0, 0, 0)


# In the server.


def main(channel: socket.socket, modules: Sequence[str]) -> None:
    """Import the modules, and fork a process for each order. In such a process, run the program.

    The first two entries of `sys.path` are the folder of this file and the variable PYTHONPATH.
    """
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        data, streams, _, _ = socket.recv_fds(channel, MAX_BYTES, 3)
        if not data:
            return
        parent, *order = json.loads(data)
        pid = _fork(parent)
        if not pid:
            channel.close()
            _run(streams, *order)
            return
        channel.send(str(pid).encode())
        for stream in streams:
            os.close(stream)


def _fork(parent: int) -> int:
    """Fork a process as a child of the process `parent`. Return its id, or 0 in the new process."""
    read, write = os.pipe()
    between = os.fork()
    if between:
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            pid = int(answer.read())
        os.waitpid(between, 0)
        return pid
    if os.fork():
        os._exit(0)
    # The group is there before the tests know of the process, because they kill the group.
    os.setsid()
    os.write(write, str(os.getpid()).encode())
    os.close(read)
    os.close(write)
    until_s = time.monotonic() + START_S
    while os.getppid() != parent:
        if time.monotonic() > until_s:
            os._exit(1)  # the tests' process has ended meanwhile
        time.sleep(0.001)
    return 0


def _run(streams: Sequence[int], argv: list[str], env: dict[str, str], cwd: str) -> Any:
    os.chdir(cwd)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    _open_streams()
    os.environ.clear()
    os.environ.update(env)
    sys.orig_argv[-len(sys.argv) :] = argv
    sys.argv[:] = argv
    sys.path[:2] = [str(Path(argv[0]).parent), *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    runpy.run_path(argv[0], run_name="__main__")


def _open_streams() -> None:
    """Open Python's standard streams anew, because the server's own ones may be files."""
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        errors = "backslashreplace" if name == "stderr" else "strict"
        stream = open(number, "w" if number else "r", errors=errors, closefd=False)  # noqa: SIM115
        stream.reconfigure(line_buffering=name == "stderr", write_through=is_unbuffered)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
