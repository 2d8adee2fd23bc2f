"""Callers that ask without a pause. If a socket is lost, the caller connects again with its conversation."""

import asyncio
import json
import ssl
import threading
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.clients.voice_agent import SETTINGS

PAUSE_S = 0.2
GOING_AWAY = 1012
TRIES_PAUSE_S = 0.05
LOOK_S = 0.05
LEAVE_S = 30.0


@dataclass
class Caller:
    """One caller, with a record of its questions and failures."""

    number: int
    history: list[dict[str, str]] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    """The numbers of its questions that were answered, in order."""
    refused: list[int] = field(default_factory=list)
    """The statuses of refused upgrades."""
    failed: list[str] = field(default_factory=list)
    """Failures to connect, and answers that do not fit the question, in words."""
    closes: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    """The numbers of the questions whose answer had begun when the router itself closed the call."""
    without_call_s: list[float] = field(default_factory=list)
    """For each lost socket: the seconds until the next session accepted a question."""
    _is_leaving: bool = False
    _has_begun: bool = False

    async def talk(self, url: str, options: dict[str, Any], is_over: asyncio.Event) -> None:
        """Ask one question after the other until `is_over`."""
        died_s = None
        while not is_over.is_set():
            try:
                async with connect(url, **options) as connection:
                    await self._begin(connection)
                    if died_s is not None:
                        self.without_call_s.append(asyncio.get_running_loop().time() - died_s)
                        died_s = None
                    await self._ask_until(connection, is_over)
                    if is_over.is_set():
                        return
            except ConnectionClosed as closed:
                died_s = died_s or asyncio.get_running_loop().time()
                self._note_close(closed)
            except InvalidStatus as refused:
                self.refused.append(refused.response.status_code)
                await asyncio.sleep(TRIES_PAUSE_S)
            except OSError as error:
                self.failed.append(str(error))
                await asyncio.sleep(TRIES_PAUSE_S)

    def _note_close(self, closed: ConnectionClosed) -> None:
        code = closed.rcvd.code if closed.rcvd else 1006
        self.closes.append(code)
        if self._has_begun and code == GOING_AWAY:
            self.lost.append(len(self.answered))
        self._has_begun = False

    async def _begin(self, connection: ClientConnection) -> None:
        self._is_leaving = False
        context = {"context": {"messages": self.history}} if self.history else {}
        await connection.send(json.dumps({**SETTINGS, "agent": {**SETTINGS["agent"], **context}}))
        await self._read_until(connection, "SettingsApplied")

    async def _ask_until(self, connection: ClientConnection, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            if self._is_leaving:  # the router closes the call when it is its turn
                await self._read_until(connection, "nothing")
            number = len(self.answered)
            question = f"Is it {number} of {self.number}?"
            await connection.send(json.dumps({"type": "InjectUserMessage", "content": question}))
            answer = await self._read_until(connection, "AgentAudioDone")
            self._has_begun = False
            if not answer:
                self.failed.append(f"no words answer {question}")
            self.history += [_said("user", question), _said("assistant", answer)]
            self.answered.append(number)
            await asyncio.sleep(PAUSE_S)

    async def _read_until(self, connection: ClientConnection, kind: str) -> str:
        words = []
        while True:
            frame = await connection.recv()
            if isinstance(frame, bytes):
                continue
            message = json.loads(frame)
            if message["type"] == "Warning" and message["code"] == "SERVER_GOING_AWAY":
                self._is_leaving = True
                if kind == "nothing":
                    continue
            elif message["type"] == "Error":
                self.failed.append(message["code"])
            elif message["type"] == "ConversationText" and message["role"] == "assistant":
                self._has_begun = True
                words.append(message["content"])
            if message["type"] == kind:
                return " ".join(words)


def _said(role: str, content: str) -> dict[str, str]:
    return {"type": "History", "role": role, "content": content}


class Callers:
    """Several callers on one thread, which `start` makes. Use it as a `with` block."""

    def __init__(self, count: int, url: str, **options: Any) -> None:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        self.all = [Caller(number) for number in range(count)]
        self._url = url
        self._options = {"ssl": trusting, "proxy": None, "open_timeout": 10, "close_timeout": 1, **options}
        self._progress = threading.Condition()
        self._is_over = asyncio.Event()
        self._should_stop = threading.Event()

    def run(self) -> None:
        """Talk until `stop`; blocks."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        talks = [asyncio.create_task(it.talk(self._url, self._options, self._is_over)) for it in self.all]
        while not self._should_stop.is_set() and not any(it.done() for it in talks):
            with self._progress:
                self._progress.notify_all()
            await asyncio.sleep(LOOK_S)
        self._is_over.set()
        await asyncio.wait_for(asyncio.gather(*talks), LEAVE_S)

    def wait_for_answers(self, timeout_s: float) -> None:
        """Wait until each caller has got two more answers. It asks the second of these questions after this call."""
        before = [len(it.answered) for it in self.all]

        def have_all() -> bool:
            return all(len(it.answered) >= had + 2 for it, had in zip(self.all, before, strict=True))

        with self._progress:
            assert self._progress.wait_for(have_all, timeout_s), self.all

    def stop(self) -> None:
        """Let each caller get the answer to its question, and hang up."""
        self._should_stop.set()
