"""Applications that embed a router, as processes under the servers that run them, and calls to them."""

import http.client
import math
import os
import signal
import sys
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.clients.voice_agent import OPENAI, Received, VoiceAgent, hold_text_turn
from tests.support.processes.children import Child, child

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "docs" / "examples"
TIMEOUT_S = 15.0
RATE = 16000
FRAME_BYTES = 640

GUNICORN = ("-m", "gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "--threads", "8")
LISTENS = r"//(127\.0\.0\.1:\d+)"
"""Matches the address that each server prints at its start."""

SERVERS: Mapping[str, tuple[str, ...]] = {
    "flask under gunicorn": (*GUNICORN, "flask_app:app"),
    "flask under gunicorn, preloaded": (*GUNICORN, "--preload", "--workers", "2", "flask_app:app"),
    "flask under gunicorn's sync worker": (*GUNICORN, "--worker-class", "sync", "--threads", "1", "flask_app:app"),
    "flask under werkzeug": ("-m", "flask", "--app", "flask_app", "run", "--port", "0"),
    "flask under werkzeug, in its debugger": ("-m", "flask", "--app", "flask_app", "run", "--port", "0", "--debug"),
    "flask under werkzeug, without threads": (
        "-m",
        "flask",
        "--app",
        "flask_app",
        "run",
        "--port",
        "0",
        "--without-threads",
    ),
    "django under gunicorn": (*GUNICORN, "django_app:application"),
    "django under gunicorn, preloaded": (*GUNICORN, "--preload", "--workers", "2", "django_app:application"),
    "django under runserver": (str(EXAMPLES / "django_app.py"), "runserver", "--noreload", "127.0.0.1:0"),
    "a plain application under gunicorn": (*GUNICORN, "wsgi_app:application"),
}

UVICORN = ("-m", "uvicorn", "--port", "0")
HYPERCORN = ("-m", "hypercorn", "--bind", "127.0.0.1:0", "--access-logfile", "-")

ASGI_SERVERS: Mapping[str, tuple[str, ...]] = {
    "fastapi under uvicorn": (*UVICORN, "fastapi_app:app"),
    "fastapi under uvicorn and uvloop, without lifespan": (
        *UVICORN,
        "--loop",
        "uvloop",
        "--lifespan",
        "off",
        "fastapi_app:app",
    ),
    "fastapi under hypercorn": (*HYPERCORN, "fastapi_app:app"),
    "starlette under uvicorn, by wsproto": (*UVICORN, "--ws", "wsproto", "starlette_app:app"),
    "starlette under hypercorn": (*HYPERCORN, "starlette_app:app"),
    "litestar under uvicorn": (*UVICORN, "litestar_app:app"),
    "litestar under hypercorn": (*HYPERCORN, "litestar_app:app"),
    "channels under uvicorn": (*UVICORN, "channels_app:application"),
    "channels under hypercorn": (*HYPERCORN, "channels_app:application"),
}


@dataclass(frozen=True)
class Host:
    """A running application: its address as `host:port`, and its process."""

    address: str
    child: Child

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Request a page, and return its status and its text."""
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    @contextmanager
    def call(self, path: str = "/voice", *, profile: str = OPENAI, **how: Any) -> Iterator[VoiceAgent]:
        """Connect a client, and wait until its Settings are applied."""
        scheme = "wss" if "ssl" in how else "ws"
        with connect(f"{scheme}://{self.address}{path}", open_timeout=TIMEOUT_S, **how) as connection:
            yield started(connection, profile)


def started(connection: ClientConnection, profile: str = OPENAI) -> VoiceAgent:
    """Begin a session on a connection."""
    agent = VoiceAgent(connection, profile)
    agent.start()
    return agent


@contextmanager
def host(*argv: str, modules: Path | None = None) -> Iterator[Host]:
    """Run an application with Python, and end it by a signal. It may import from `modules` and from the examples.

    The signal is SIGTERM, or SIGINT for a development server, which SIGTERM would kill. gunicorn may deadlock at
    SIGINT, because its handler acquires a lock of the thread pool that the interrupted code may hold.
    """
    stop = signal.SIGTERM if "gunicorn" in argv else signal.SIGINT
    found = os.pathsep.join(str(folder) for folder in (ROOT, EXAMPLES, modules) if folder)
    with child(sys.executable, *argv, env={"PYTHONPATH": found, "PYTHONUNBUFFERED": "1"}) as process:
        yield Host(process.wait_for(LISTENS)[1], process)
        process.stop(stop, timeout_s=TIMEOUT_S)


def speak(agent: VoiceAgent) -> Received:
    """Send speech, and return the turn that answers it."""
    hum = array("h", (int(9000 * math.sin(2 * math.pi * 180 * at / RATE)) for at in range(RATE)))
    pcm = hum.tobytes() + bytes(2 * RATE)
    for start in range(0, len(pcm), FRAME_BYTES):
        agent.send_audio(pcm[start : start + FRAME_BYTES])
    return agent.wait_for_turn()


def converse(agent: VoiceAgent) -> None:
    """Hold a typed turn and a spoken one."""
    assert hold_text_turn(agent, "Is anybody there?").audio
    spoken = speak(agent)
    assert "UserStartedSpeaking" in spoken.types
    assert spoken.text("user")
    assert spoken.text("assistant")
    assert spoken.audio
