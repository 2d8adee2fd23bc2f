"""Processes of a benchmark. They get commands and answer in JSON lines, and end in any case."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parents[2]

LIFETIME_S = 3600
"""The seconds after which a process ends even if the benchmark is gone."""


class Child:
    """One process, which ends with the `with` block. `pid` is the root of its process tree.

    With `speaks` the process answers in JSON lines. Any other output is discarded.
    """

    def __init__(self, command, *, speaks=True, cwd=None, env=None, log=None):
        self._command = ["timeout", "--kill-after=5", str(LIFETIME_S), sys.executable, *map(str, command)]
        self._cwd, self._env, self._log = cwd, env, log
        self._stdout = subprocess.PIPE if speaks else subprocess.DEVNULL
        self._rest = bytearray()

    def __enter__(self):
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=self._stdout,
            stderr=self._log,
            cwd=self._cwd,
            env=self._env,
            start_new_session=True,
        )
        self.pid = self._process.pid
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def tell(self, **command):
        """Send one command."""
        self._process.stdin.write(orjson.dumps(command) + b"\n")
        self._process.stdin.flush()

    def hear(self, timeout_s):
        """Return the next answer of the process."""
        until_s = time.monotonic() + timeout_s
        output = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            if not select.select([output], [], [], max(0, until_s - time.monotonic()))[0]:
                raise TimeoutError(f"no answer within {timeout_s} s: {self._command}")
            data = os.read(output, 1 << 20)
            if not data:
                raise ConnectionError(f"ended: {self._command}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return orjson.loads(line)

    def wait_for_port(self, port, timeout_s=30):
        """Wait until the process accepts connections on `port`."""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                pass
            else:
                return
            try:
                self._process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            raise ConnectionError(f"ended: {self._command}")
        raise TimeoutError(f"nothing listens on {port}: {self._command}")


def free_port():
    """Return a port that no program uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
