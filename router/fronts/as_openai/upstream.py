"""One upstream that is Deepgram's Voice Agent, translated into OpenAI's events. Pure.

Deepgram takes its Settings once, with the conversation so far. So the Settings wait for the first question or audio,
because a client or the relay may create items before.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from actors.restart import LossKind
from router.fronts.as_openai.agent import PAUSE_MS, Agent, Echo, Speech, Stage, decoded
from router.fronts.as_openai.from_deepgram import MESSAGES
from router.fronts.as_openai.from_relay import EVENTS, commit_without_speech
from router.fronts.deepgram_agent.fields import read, text_of
from router.fronts.realtime import requests
from router.session.deadlines import SPEECH_S

if TYPE_CHECKING:
    from actors import messages as engine
    from router.fronts.as_openai.agent import Ask, Parts
    from router.fronts.realtime.wire import Fields

KEEP_ALIVE_S: Final = 6.0
"""The seconds without a frame to Deepgram after which a `KeepAlive` is sent. Deepgram ends idle connections."""

MAX_EVENT_CHARS: Final = 2 * 1024 * 1024
"""The longest event of the relay's, apart from audio, and the longest message of Deepgram's, in characters or bytes."""

MAX_LATER_CHARS: Final = 4 * 1024 * 1024
"""The most characters of events that wait behind a commit: 65 s of audio."""

TICK_S: Final = 1.0
"""The time between two calls of `tick`."""

COMMIT_S: Final = 3.0
"""The wait for the text of speech that the client committed, if Deepgram has not reported a start of speech."""


class DeepgramUpstream:
    """One upstream that is Deepgram's, with the translation between Deepgram's messages and OpenAI's events."""

    def __init__(self, opened: engine.UpstreamOpened, parts: Parts, now_s: float) -> None:
        self._agent = Agent(opened, parts, now_s)
        self.generation = opened.generation
        self.events = self._agent.events
        """OpenAI's events for the relay."""
        self._later: deque[tuple[Fields, int]] = deque()
        """A commit that waits for the text of the commit before, and the events behind it."""
        self._later_chars = 0

    def take_commands(self) -> list[engine.Command]:
        """Remove and return the commands for the engine."""
        commands, self._agent.commands = self._agent.commands, []
        return commands

    @property
    def held_bytes(self) -> int:
        """The bytes of the frames and items that wait for Deepgram."""
        return self._agent.waiting.size_bytes + self._agent.held_bytes + self._later_chars

    @property
    def is_at_rest(self) -> bool:
        """Whether Deepgram has its Settings and owes nothing, and nothing waits for it."""
        agent = self._agent
        is_asked = agent.asks or agent.current or agent.answer or agent.owes_answer or agent.commit
        return agent.stage is Stage.READY and not (is_asked or agent.speech or agent.held or self._later)

    def hold(self, command: engine.Command) -> None:
        """Keep a command of the relay until Deepgram has applied the Settings."""
        is_applied = self._agent.stage is Stage.READY
        (self._agent.commands if is_applied else self._agent.held).append(command)

    def close(self) -> None:
        """Drop all later messages of the upstream, because it is abandoned."""
        self._agent.stage = Stage.CLOSED

    # The two wires.

    def take_text(self, text: str, now_s: float) -> None:
        """Handle a message of Deepgram's."""
        agent = self._agent
        agent.now_s = now_s
        if agent.stage is Stage.CLOSED:
            return
        if len(text) > MAX_EVENT_CHARS:
            agent.log(logging.WARNING, f"a message of Deepgram's is dropped: it has {len(text)} characters")
            return
        fields = read(text)
        if isinstance(fields, str):
            agent.abandon(LossKind.MALFORMED, fields)
            return
        take = MESSAGES.get(text_of(fields, "type"))
        if take is not None:
            take(agent, fields)

    def take_audio(self, audio: bytes, now_s: float) -> None:
        """Handle a piece of the agent's audio. Drop audio outside of a response, because its answer was interrupted."""
        agent = self._agent
        agent.now_s = now_s
        if agent.answer is not None and agent.stage is Stage.READY:
            agent.emit_all(agent.answer.play(audio))

    def send(self, frame: str | bytes, now_s: float) -> None:
        """Take an event of OpenAI's that the relay sends this upstream."""
        agent = self._agent
        agent.now_s = now_s
        fields = _fields(frame)
        if self._later or self._waits(fields):
            self._keep(fields, len(frame))
        else:
            self._take(fields, len(frame))

    def _waits(self, fields: Fields) -> bool:
        """Whether an event is a commit that has to wait until the previous commit has its text or is refused.

        An empty commit does not wait, because it is refused at once.
        """
        agent = self._agent
        is_commit = agent.commit is not None and text_of(fields, "type") == requests.COMMIT
        return is_commit and agent.appended_bytes != agent.committed_bytes

    def _keep(self, fields: Fields, size: int) -> None:
        if self._later_chars + size > MAX_LATER_CHARS:
            message = "Deepgram's backend has not finished a commit, and too many events wait for that."
            self._agent.refuse(text_of(fields, "event_id") or None, "too_many_waiting_events", message)
            return
        self._later.append((fields, size))
        self._later_chars += size

    def _take(self, fields: Fields, size: int) -> None:
        agent = self._agent
        kind, event_id = text_of(fields, "type"), text_of(fields, "event_id") or None
        take = EVENTS.get(kind)
        if size > MAX_EVENT_CHARS and kind != requests.APPEND:
            agent.refuse_unsupported(event_id, f"Deepgram's backend takes no event of {size} characters.")
        elif take is None:
            agent.refuse_unsupported(event_id, f"Deepgram's backend has nothing like {kind[:80]}.", "type")
        else:
            take(agent, fields, event_id)

    # Time.

    def settle(self, now_s: float) -> None:
        """Send the Settings or the next question, if nothing delays them. Take the events that waited behind a commit.

        The machine calls this after each input.
        """
        agent = self._agent
        agent.now_s = now_s
        if agent.stage is Stage.WELCOMED and agent.is_wanted:
            agent.stage = Stage.CONFIGURING
            agent.send(agent.session.settings(agent.history.begin()))
        is_free = agent.stage is Stage.READY and agent.current is None and agent.answer is None
        if is_free and agent.asks and now_s >= agent.asks_from_s:
            _ask(agent, agent.take_ask(agent.asks[0]))
        while self._later and not self._waits(self._later[0][0]):
            fields, size = self._later.popleft()
            self._later_chars -= size
            self._take(fields, size)

    def tick(self, now_s: float) -> None:
        """Keep the connection open. End the waits that have become too long.

        If Deepgram has not applied the Settings, abandon it. Refuse a commit for which no text came, and drop speech
        without text.
        """
        agent = self._agent
        agent.now_s = now_s
        match agent.stage:
            case Stage.WELCOMED if agent.held:
                agent.is_wanted = True  # Deepgram does not wait for Settings for long; a standby takes that risk
            case Stage.CONFIGURING if now_s - agent.sent_s >= agent.parts.options.deadlines.session_updated_s:
                agent.abandon(LossKind.SILENT, "session_updated")
            case Stage.READY:
                _tick_ready(agent)


class _Head(msgspec.Struct, omit_defaults=True):
    """The fields of a long event that are read. The parser skips all others, which takes a quarter of the time."""

    type: str = ""
    event_id: Any = None
    audio: Any = None


_HEADS: Final = msgspec.json.Decoder(_Head)


def _fields(frame: str | bytes) -> Fields:
    if len(frame) <= MAX_EVENT_CHARS:
        fields: Fields = orjson.loads(frame)
        return fields
    head: Fields = msgspec.to_builtins(_HEADS.decode(frame))
    return head


def _tick_ready(agent: Agent) -> None:
    if agent.now_s - agent.sent_s >= KEEP_ALIVE_S:
        agent.send({"type": "KeepAlive"})
    if agent.commit is not None:
        waited_s = agent.now_s - agent.commit.sent_s
        # A noise has no text. Without an answer the relay would repeat the noise at another upstream, again and again.
        most_s = COMMIT_S if agent.speech is None else agent.parts.options.deadlines.item_ack_s - TICK_S
        if waited_s >= most_s:
            commit_without_speech(agent, agent.commit.event_id)
    if agent.speech is not None and agent.now_s - agent.speech.began_s >= SPEECH_S:
        agent.drop_speech()


def _ask(agent: Agent, ask: Ask) -> None:
    agent.current = ask
    for output in ask.outputs:
        agent.send(output)
    question = ask.question
    if question is None:
        return
    if question.text:
        agent.echoes.append(Echo(question.text))
        agent.send({"type": "InjectUserMessage", "content": question.text})
        return
    # Speech without words: the upstream that heard it made no text of it.
    agent.speech = Speech("", agent.now_s, is_repeated=True)
    agent.send(decoded(question.audio) or b"")
    agent.send(agent.session.silence(PAUSE_MS))
