"""OpenAI's own SDKs as processes. Each sends the events of a test. A judge checks every event that it gets."""

import base64
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.clients import openai_python
from tests.support.machine.realtime_wire import RealtimeClient

TIMEOUT_S = 30.0
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
JAVASCRIPT = ROOT / "tests" / "javascript"
FRAME_BYTES = 4800
"""100 ms of linear16 at 24 kHz."""
LEGACY = r"ignore:connect\(\) must be used as a context manager:DeprecationWarning"
"""The filter for a warning about OpenAI's SDK, where it connects in the process of the tests."""


class OpenAIClient:
    """One connection of an SDK."""

    def __init__(self) -> None:
        self.wire = RealtimeClient()
        self.problems: list[str] = []
        self.close_code: int | None = None
        self._changed = threading.Condition()

    def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        event = {"type": kind, **fields}
        self.wire.send(event)
        self._write(json.dumps(event) + "\n")

    def _write(self, line: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection, and wait for its end."""
        raise NotImplementedError

    def kill(self) -> None:
        """Release its resources."""
        raise NotImplementedError

    def configure(self, **session: Any) -> None:
        """Send a configuration, and wait until it is accepted."""
        self.send("session.update", session={"type": "realtime", **session})
        self.wait_for("session.updated")

    def say(self, text: str) -> None:
        """Type a message, and ask for an answer."""
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.send("response.create")

    def speak(self, pcm: bytes) -> None:
        """Send microphone audio."""
        for at in range(0, len(pcm), FRAME_BYTES):
            audio = base64.b64encode(pcm[at : at + FRAME_BYTES]).decode()
            self.send("input_audio_buffer.append", audio=audio)

    def wait_until(self, name: str, is_true: Callable[[], Any]) -> Any:
        """Wait until a condition about the events holds."""
        with self._changed:
            found = self._changed.wait_for(lambda: is_true() or self.problems or self.close_code, TIMEOUT_S)
        assert not self.problems, self.problems
        assert is_true(), (
            f"no {name}: {[event['type'] for event in self.wire.events][-20:]}, {self.close_code}, {found}"
        )
        return found

    def wait_for(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait for `count` events of a type, and return the last one."""
        self.wait_until(f"{kind} number {count}", lambda: len(self.wire.of(kind)) >= count)
        return self.wire.of(kind)[count - 1]

    def wait_for_answers(self, count: int) -> None:
        """Wait until `count` responses are complete."""
        self.wait_until("answer", lambda: list(self.wire.responses.values()).count("completed") >= count)

    def _take(self, event: dict[str, Any]) -> None:
        with self._changed:
            self._judge(event)
            self._changed.notify_all()

    def _judge(self, event: dict[str, Any]) -> None:
        if event["type"] == "closed":
            self.close_code = event["code"]
            return
        try:
            self.wire.receive(event)
        except AssertionError as problem:
            self.problems.append(str(problem))


class ProcessClient(OpenAIClient):
    """An SDK in a process of its own."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        super().__init__()
        self._process = subprocess.Popen(
            argv,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {argv[1]}")
        self._reader.start()

    def _write(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def close(self) -> None:
        """Close the connection, and wait for the end of the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(TIMEOUT_S)

    def kill(self) -> None:
        """Kill the process, and release its resources."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                with self._changed:
                    self.problems.append(line)
                    self._changed.notify_all()
                continue
            self._take(event)


class ThreadClient(OpenAIClient):
    """The synchronous Python SDK on threads of this process, which has imported it already."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._converse, args=(f"http://{address}/v1",), name="OpenAI's SDK")
        self._thread.start()

    def _write(self, line: str) -> None:
        self._lines.put(line)

    def close(self) -> None:
        """Close the connection, and wait for its end."""
        self._lines.put(None)
        self._thread.join(TIMEOUT_S)

    def kill(self) -> None:
        """End the threads."""
        self.close()
        assert not self._thread.is_alive()

    def _converse(self, base_url: str) -> None:
        try:
            openai_python.converse(base_url, iter(self._lines.get, None), self._take_event)
        except Exception as error:  # noqa: BLE001 - the test prints it
            with self._changed:
                self.problems.append(repr(error))
                self._changed.notify_all()

    def _take_event(self, event: Any) -> None:
        self._take(json.loads(json.dumps(event if isinstance(event, dict) else event.to_dict())))


@contextmanager
def connected(argv: list[str], environment: dict[str, str] | None = None) -> Iterator[OpenAIClient]:
    """Run an SDK's program."""
    client = ProcessClient(argv, environment or {})
    try:
        yield client
    finally:
        client.kill()


@contextmanager
def in_process(address: str) -> Iterator[OpenAIClient]:
    """Connect the synchronous Python SDK in this process."""
    client = ThreadClient(address)
    try:
        yield client
    finally:
        client.kill()


def python(way: str, address: str) -> list[str]:
    """Return the command for the Python SDK: `sync` or `async`."""
    return [sys.executable, str(HERE / "openai_python.py"), way, f"http://{address}/v1"]


def node(folder: Path, address: str) -> list[str]:
    """Return the command for the SDK for Node, which connects only over TLS."""
    return ["node", str(JAVASCRIPT / "openai.mjs"), str(folder), f"https://{address}/v1"]
