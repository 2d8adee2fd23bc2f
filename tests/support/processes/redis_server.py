"""Debian's redis-server as a child process: on a free port, without a file."""

import shutil
import socket
import subprocess
from contextlib import closing, contextmanager

import pytest

REDIS = shutil.which("redis-server")


def free_port():
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class RedisServer:
    """The server, which a test may stop and start again."""

    def __init__(self):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process = None

    def start(self):
        command = [REDIS, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert any("Ready to accept connections" in line for line in self._process.stdout)

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process.stdout.close()
            self._process = None


@contextmanager
def redis_server():
    """Run a server."""
    if REDIS is None:
        pytest.skip("redis-server is not installed (Debian's redis-server)")
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
