"""Applications that embed a router, each as a process under its server."""

import contextlib
import os

from tests.bench.children import ROOT, Child

THREADS = 8
GUNICORN = ("gunicorn", "--no-control-socket", "--log-level", "warning", "--threads", THREADS)
COMMANDS = {
    "gunicorn": lambda port: (*GUNICORN, "--bind", f"127.0.0.1:{port}", "tests.bench.hosted:app"),
    "uvicorn": lambda port: ("uvicorn", "--port", port, "--log-level", "warning", "tests.bench.hosted_asgi:app"),
}
"""The command that starts each application, by the name of its server."""


@contextlib.contextmanager
def hosted(server, port, upstream):
    """Start the application under its server, and return its process."""
    command = ["-m", *COMMANDS[server](port)]
    with Child(command, speaks=False, cwd=ROOT, env=os.environ | {"HOSTED_UPSTREAM": upstream}) as process:
        process.wait_for_port(port)
        yield process
