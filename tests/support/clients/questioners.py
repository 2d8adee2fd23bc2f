"""Callers that ask one question after the other, by text or by voice, and record each answer. They share an event loop.

Each question by text has its own words, and its answer repeats them. A question by voice is a tone, which a simulator
without speech recognition answers with a sentence about the sound.
"""

import asyncio
import base64
import difflib
import itertools
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.clients.voice_agent import OPENAI, SETTINGS, TIMEOUT_S
from tests.support.data.tones import tone

RATE = 16_000
FRAME_S = 0.02
FRAME_BYTES = int(RATE * FRAME_S) * 2
SPEECH = tone(300, RATE, 0.6).astype("<i2").tobytes()
SILENCE = bytes(FRAME_BYTES)
ANSWER_S = 30.0
"""The longest time for an answer in seconds, even if its worker dies."""
SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PAUSE_S = 0.2


@dataclass
class Turn:
    """A question, and all frames that came until its answer ended."""

    question: str | None
    """The text; None for a question by voice."""
    asked_s: float = field(default_factory=time.monotonic)
    echoes: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    audio_bytes: int = 0
    took_s: float | None = None
    """The seconds from the question to the end of the answer; None without an answer."""

    @property
    def expected(self):
        """The answer that a simulator gives to a text; None for a question by voice."""
        return None if self.question is None else f'You said: "{self.question}" I will remember that.'

    @property
    def answer(self):
        """The text of the answer, joined from its parts."""
        return " ".join(" ".join(self.answers).split())


def spelled(number):
    """Return a number in words."""
    return " ".join(SPELLED[int(digit)] for digit in str(number))


def words(text):
    """Return the words of a text."""
    return re.findall(r"[a-z0-9]+", text.lower())


def differing(text, expected):
    """Return the number of words in which a text differs from the expected one: missing, additional and wrong words."""
    matcher = difflib.SequenceMatcher(None, words(text), words(expected), autojunk=False)
    return sum(max(i2 - i1, j2 - j1) for kind, i1, i2, j1, j2 in matcher.get_opcodes() if kind != "equal")


class Questioner:
    """One caller."""

    def __init__(self, number, address, path, *, speaks):
        self.number = number
        self.turns = []
        self.warnings = []
        self.errors = []
        self.close_code = None
        """The close code of the router if the router ended the call; else None."""
        self.name = f"caller {number} ({'voice' if speaks else 'text'}, {path})"
        self._url = f"ws://{address}{path}"
        self._last_of_turn = "AgentDone" if path == OPENAI else "AgentAudioDone"
        self._speaks = speaks
        self._speech = b""
        self._turn = Turn(None)
        self._has_ended = asyncio.Event()
        self._progress = asyncio.Condition()
        self._is_applied = asyncio.Event()

    async def call(self, is_over):
        """Ask until `is_over` is set, and hang up after the last answer."""
        async with connect(self._url, open_timeout=TIMEOUT_S, max_size=None, ping_interval=None) as connection:
            listener = asyncio.create_task(self._listen(connection))
            await self._begin(connection)
            microphone = asyncio.create_task(self._send_audio(connection)) if self._speaks else None
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._is_applied.wait()
                for count in itertools.count(1):
                    if is_over.is_set() or self.close_code is not None or not await self._ask(connection, count):
                        break
                    await asyncio.sleep(PAUSE_S)
                await asyncio.sleep(1.0)  # whatever follows belongs to no question
            except ConnectionClosed:
                await listener
            finally:
                for task in (listener, microphone):
                    if task is not None:
                        task.cancel()

    async def wait_for_turn(self, count):
        """Wait until the caller asks question number `count`, or its call has ended."""
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.turns) >= count or self.close_code is not None)

    async def _ask(self, connection, count):
        """Ask a question. Return whether its answer has come."""
        self._has_ended.clear()
        if self._speaks:
            self._turn = Turn(None)
            self._speech = SPEECH
        else:
            self._turn = Turn(f"Fact {spelled(count)} of caller {spelled(self.number)} is a green lamp.")
            await self._ask_text(connection, self._turn.question)
        self.turns.append(self._turn)
        async with self._progress:
            self._progress.notify_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self._has_ended.wait()
        return self._turn.took_s is not None

    async def _send_audio(self, connection):
        due_s = time.monotonic()
        with suppress(ConnectionClosed):
            while True:
                frame, self._speech = self._speech[:FRAME_BYTES], self._speech[FRAME_BYTES:]
                await connection.send(self._frame(frame.ljust(FRAME_BYTES, b"\0")))
                due_s += FRAME_S
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _listen(self, connection):
        try:
            async for frame in connection:
                if isinstance(frame, bytes):
                    self._turn.audio_bytes += len(frame)
                else:
                    self._note(json.loads(frame))
        finally:
            if self.close_code is None:
                self.close_code = connection.close_code
            self._has_ended.set()
            async with self._progress:
                self._progress.notify_all()

    def _note(self, message):
        kind = message["type"]
        if kind == "SettingsApplied":
            self._is_applied.set()
        elif kind == "ConversationText":
            (self._turn.echoes if message["role"] == "user" else self._turn.answers).append(message["content"])
        elif kind == "Warning":
            self.warnings.append(message["code"])
        elif kind == "Error":
            self.errors.append(message["code"])
        elif kind == self._last_of_turn and self.turns:
            self._turn.took_s = time.monotonic() - self._turn.asked_s
            self._has_ended.set()

    # The wire, which a caller with another protocol replaces.

    async def _begin(self, connection):
        """Configure the session."""
        await connection.send(json.dumps(SETTINGS))

    async def _ask_text(self, connection, text):
        """Type a question."""
        await connection.send(json.dumps({"type": "InjectUserMessage", "content": text}))

    def _frame(self, pcm):
        """Return a piece of audio as a frame for the router."""
        return pcm

    # What was wrong.

    @property
    def is_lost(self):
        """Whether the router ended the call with a typed `Error`."""
        return bool(self.errors) and self.close_code in (1011, 1012)

    def faults(self, most_words=2):
        """Return the faults in words. In each answer `most_words` words may be missing or repeated."""
        found = []
        if self.close_code is not None and not self.is_lost:
            found.append(f"closed with {self.close_code} after {self.errors}")
        for turn in self.turns[: -1 if self.is_lost else None]:
            found += self._faults_of(turn, most_words)
        return [f"{self.name}: {it}" for it in found]

    def _faults_of(self, turn, most_words):
        if turn.took_s is None:
            return [f"no answer to {turn.question!r}, but {turn.answers}"]
        if turn.question is None:
            return [] if turn.answers and turn.audio_bytes else [f"no words in the answer: {turn}"]
        found = [] if turn.echoes == [turn.question] else [f"{turn.question!r} was echoed as {turn.echoes}"]
        if differing(turn.answer, turn.expected) > most_words:
            found.append(f"{turn.question!r} was answered with {turn.answers}")
        return found


class RelayQuestioner(Questioner):
    """One caller on the relay of Deepgram's backend, which gives a cut answer again from its beginning."""

    def __init__(self, number, address, path="/deepgram", *, speaks):
        super().__init__(number, address, path, speaks=speaks)

    def _faults_of(self, turn, most_words):
        if turn.question is None or turn.took_s is None:
            return super()._faults_of(turn, most_words)
        found = [] if turn.echoes == [turn.question] else [f"{turn.question!r} was echoed as {turn.echoes}"]
        expected = words(turn.expected)
        if words(turn.answer)[-len(expected) :] != expected:
            found.append(f"{turn.question!r} was answered with {turn.answers}")
        return found


class RealtimeQuestioner(Questioner):
    """One caller that speaks the OpenAI Realtime API. It is answered as it asks: by text or by voice.

    The transcript of a cut answer may have words that were not spoken yet, so the next answer speaks them.
    """

    def __init__(self, number, address, *, speaks):
        super().__init__(number, address, "/v1/realtime", speaks=speaks)

    async def _begin(self, connection):
        session = {"type": "realtime", "output_modalities": ["audio" if self._speaks else "text"]}
        await connection.send(json.dumps({"type": "session.update", "session": session}))

    async def _ask_text(self, connection, text):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await connection.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await connection.send(json.dumps({"type": "response.create"}))

    def _frame(self, pcm):
        # The speech is a tone, so another rate only makes it deeper.
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})

    def _note(self, message):
        match message["type"]:
            case "session.updated":
                self._is_applied.set()
            case "conversation.item.added" if message["item"].get("role") == "user":
                (part, *_) = message["item"]["content"] or [{}]
                self._turn.echoes.append(part.get("text"))
            case "response.output_audio_transcript.done" | "response.output_text.done":
                self._turn.answers.append(message.get("text") or message["transcript"])
            case "response.output_audio.delta":
                self._turn.audio_bytes += len(message["delta"])
            case "error":
                self.errors.append(message["error"]["code"])
            case "response.done" if message["response"]["status"] == "completed" and self.turns:
                self._turn.took_s = time.monotonic() - self._turn.asked_s
                self._has_ended.set()
