"""One session of Deepgram's Voice Agent: its memory, and the operations of the handlers of both wires. Pure."""

from __future__ import annotations

import enum
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
import orjson
import pybase64

from actors import messages as engine
from actors.restart import Loss, LossKind
from router.fronts.as_openai.agent_session import AgentSession
from router.fronts.as_openai.answer import Answer
from router.fronts.as_openai.history import OVERHEAD_BYTES, History, Question
from router.fronts.deepgram_agent.fields import write
from router.fronts.deepgram_agent.waiting import Waiting
from router.fronts.realtime.wire import Fields, error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from router.session.options import SessionOptions

UNSUPPORTED: Final = "unsupported_by_backend"
"""The code of the `error` that answers an event for which Deepgram's protocol has nothing."""

PAUSE_MS: Final = 1500
"""The silence that ends a turn of speech where Deepgram has no message for its end."""

LIFE_S: Final = 7200
"""The length of the longest session of Deepgram's, in seconds. The relay moves on before its end."""

MAX_AUDIO_BYTES: Final = 4 * 1024 * 1024
"""The audio that may wait for `SettingsApplied`: 87 s at 24 kHz. The relay repeats up to a minute of speech."""

MAX_HELD_BYTES: Final = 8 * 1024 * 1024
"""The memory of all items that Deepgram has not got. The relay repeats a conversation of 1 MiB and the open items."""

ASK_AGAIN_S: Final = 1.0
"""The pause before a refused question is asked again, if the agent does not stop speaking sooner."""

MAX_CAUSE_CHARS: Final = 100


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a call that each of its upstreams needs."""

    options: SessionOptions
    model: str
    """The model that the client sees."""
    as_sent: Callable[[Fields], Fields]
    """Returns the Settings for Deepgram, with the blocks of the configured agent."""
    wire_of: Callable[[str], Fields | None]
    """Returns the fields of an item by its id, or None."""


class Stage(enum.Enum):
    """The progress of the upstream, from its dial to the Settings that it applied."""

    DIALLING = "dialling"
    WELCOMED = "welcomed"
    CONFIGURING = "configuring"
    READY = "ready"
    CLOSED = "closed"
    """The upstream is abandoned: whatever it still sends is dropped."""


class Commit(msgspec.Struct):
    """A commit of the client's that awaits its text."""

    event_id: str | None
    sent_s: float
    is_cancelled: bool = False
    """Whether the client has cancelled the answer to the speech."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a response."""

    event_id: str
    metadata: Fields | None
    outputs: tuple[Fields, ...] = ()
    """The outputs of functions, as messages for Deepgram. Their request waits, because Deepgram answers by itself."""
    question: Question | None = None
    """The question for Deepgram; None where Deepgram answers by itself."""

    commit: Commit | None = None
    """The commit of the speech that Deepgram answers by itself, if the speech had no text yet."""

    @property
    def size_bytes(self) -> int:
        """The memory of the request."""
        question_bytes = self.question.size_bytes if self.question is not None else OVERHEAD_BYTES
        return question_bytes + size_of(self.outputs)

    @property
    def is_of_speech(self) -> bool:
        """Whether Deepgram answers because of speech alone."""
        return self.question is None and not self.outputs


class Echo(msgspec.Struct):
    """A question that Deepgram has not repeated."""

    text: str
    is_cancelled: bool = False
    """Whether the client has cancelled the answer."""


class Speech(msgspec.Struct):
    """Speech of the user that has no text yet."""

    item_id: str
    began_s: float
    is_cancelled: bool = False
    """Whether the client has cancelled the answer."""
    is_repeated: bool = False
    """Whether the speech is an item that the client has already."""


class Agent:
    """One session of Deepgram's: its memory, and the operations of its handlers.

    `commands` are for the engine, `events` are OpenAI's events for the relay.
    """

    def __init__(self, opened: engine.UpstreamOpened, parts: Parts, now_s: float) -> None:
        bounds, generation = parts.options.bounds, opened.generation
        self.generation = generation
        self.opened_unix_s = opened.unix_s
        self.commands: list[engine.Command] = []
        self.events: deque[str] = deque()
        self.parts = parts
        self.now_s = now_s
        self.stage = Stage.DIALLING
        self.count = 0
        self.session = AgentSession(f"sess_dg{generation}", parts.model, parts.as_sent)
        self.history = History()
        self.waiting = Waiting(bounds.early_messages, bounds.early_bytes, MAX_AUDIO_BYTES)
        self.held: list[engine.Command] = []
        """Commands of the relay that wait for `SettingsApplied`."""
        self.is_wanted = False
        """Whether Deepgram is needed, so that the Settings have to leave."""
        self.is_think_stale = False
        """Whether the instructions or functions have changed since the Settings, which Deepgram has not applied."""
        self.sent_s = now_s
        """The time of the newest frame for Deepgram."""
        self.appended_bytes = 0
        self.committed_bytes = 0
        """The `appended_bytes` at the newest commit or clearing."""
        self.last_item: str | None = None
        self.speech: Speech | None = None
        self.commit: Commit | None = None
        self.asks: deque[Ask] = deque()
        self._asks_bytes = 0
        self.asks_from_s = 0.0
        """The time from which the next question may be asked, after Deepgram has refused one."""
        self.current: Ask | None = None
        """The request that Deepgram has got and has not begun to answer."""
        self.echoes: deque[Echo] = deque()
        self.owes_answer = False
        """Whether Deepgram answers speech by itself, and the client has not requested the answer."""
        self.answer: Answer | None = None
        self.is_muted = False
        """Whether the client has cancelled what the agent says, up to the end of this turn."""
        self.calls: dict[str, str] = {}
        """The names of the functions whose output Deepgram awaits, by `call_id`."""
        self.outputs: list[Fields] = []
        """The outputs of functions that wait for a request for a response."""

    def add_ask(self, ask: Ask) -> None:
        """Let a request wait behind the others."""
        self.asks.append(ask)
        self._asks_bytes += ask.size_bytes

    def put_back(self, ask: Ask) -> None:
        """Let a request wait before the others, because Deepgram has refused its question."""
        self.asks.appendleft(ask)
        self._asks_bytes += ask.size_bytes

    def take_ask(self, ask: Ask) -> Ask:
        """Return a request that waited, and which waits no longer."""
        self.asks.remove(ask)
        self._asks_bytes -= ask.size_bytes
        return ask

    @property
    def held_bytes(self) -> int:
        """The memory of the items that Deepgram has not got: those without a request, too."""
        return self.history.size_bytes + self._asks_bytes + size_of(self.outputs) + self.notes_bytes

    @property
    def notes_bytes(self) -> int:
        """The memory of the texts of the system."""
        return self.session.notes_bytes + OVERHEAD_BYTES * len(self.session.notes)

    def new_id(self, kind: str) -> str:
        """Return a new id of a kind, which no other upstream gives."""
        self.count += 1
        return f"{kind}_dg{self.generation}_{self.count:x}"

    def emit(self, fields: Fields) -> None:
        """Send the relay an event."""
        kind = fields.pop("type")
        self.events.append(orjson.dumps({"type": kind, "event_id": self.new_id("event"), **fields}).decode())

    def emit_all(self, events: Iterator[Fields]) -> None:
        """Send the relay events."""
        for fields in events:
            self.emit(fields)

    def refuse(self, event_id: str | None, code: str, message: str, param: str | None = None) -> None:
        """Answer an event of the relay with an `error`."""
        self.emit({"type": "error", "error": error_of(code, message, param=param, event_id=event_id)})

    def refuse_unsupported(self, event_id: str | None, message: str, param: str | None = None) -> None:
        """Answer an event for which Deepgram has nothing."""
        self.refuse(event_id, UNSUPPORTED, message, param)

    def send(self, frame: Fields | bytes) -> None:
        """Send Deepgram a message, or audio."""
        data = frame if isinstance(frame, bytes) else write(frame)
        self.sent_s = self.now_s
        self.commands.append(engine.SendToUpstream(data, self.generation, is_binary=isinstance(data, bytes)))

    def send_or_keep(self, frame: Fields) -> None:
        """Send Deepgram a message, or keep it behind the audio that waits for the Settings."""
        if self.stage is Stage.READY:
            self.send(frame)
        elif self.stage is not Stage.CLOSED:
            self.waiting.keep_text(write(frame))

    def update_think(self) -> None:
        """Send Deepgram the instructions and functions that have changed. Settings on their way are followed by one."""
        if self.stage is Stage.READY:
            self.send({"type": "UpdateThink", "think": self.session.think()})
        elif self.stage is Stage.CONFIGURING:
            self.is_think_stale = True

    def log(self, level: int, text: str) -> None:
        """Write a log line."""
        self.commands.append(engine.Log(level, self.parts.options.redact(text)))

    def abandon(self, kind: LossKind, cause: str, *, is_fatal: bool = False) -> None:
        """Abandon the upstream. The engine answers with `UpstreamLost`."""
        self.log(logging.WARNING, f"Deepgram is abandoned: {cause}")
        self.stage = Stage.CLOSED
        loss = Loss(kind=kind, cause=cause[:MAX_CAUSE_CHARS], is_fatal=is_fatal)
        self.commands.append(engine.AbandonUpstream(self.generation, loss))

    def new_speech(self) -> Speech:
        """Begin speech, and report its start. Speech of a commit belongs to the request behind the commit."""
        is_cancelled = self.commit is not None and self.commit.is_cancelled
        speech = Speech(self.new_id("item"), self.now_s, is_cancelled=is_cancelled)
        self.announce_speech(speech)
        return speech

    def announce_speech(self, speech: Speech) -> None:
        """Report the start of speech to a client that does not end its turns by itself."""
        if not self.session.is_manual:
            kind = "input_audio_buffer.speech_started"
            self.emit({"type": kind, "audio_start_ms": self.appended_ms, "item_id": speech.item_id})

    def stop_speech(self, speech: Speech) -> None:
        """Report the end of speech, as its start."""
        if not self.session.is_manual:
            kind = "input_audio_buffer.speech_stopped"
            self.emit({"type": kind, "audio_end_ms": self.appended_ms, "item_id": speech.item_id})

    @property
    def appended_ms(self) -> int:
        """The length of the microphone audio so far, in milliseconds."""
        return self.appended_bytes // self.session.input_bytes_per_ms

    def drop_speech(self) -> None:
        """Forget speech of which Deepgram has made no text: it was a noise."""
        speech, self.speech = self.speech, None
        if speech is not None and not speech.is_repeated and not self.session.is_manual:
            self.stop_speech(speech)
            self.emit({"type": "input_audio_buffer.cleared"})

    def begin_answer(self) -> None:
        """Begin a response, unless one is open."""
        if self.answer is not None:
            return
        ask, self.current = self.current, None
        self.owes_answer = False
        metadata = ask.metadata if ask is not None else None
        self.answer = Answer(self.new_id, previous=self.last_item, metadata=metadata, is_text=self.session.is_text)
        self.emit_all(self.answer.begin())

    def end_answer(self, status: str, reason: str | None = None) -> None:
        """End the response that is open."""
        answer, self.answer = self.answer, None
        if answer is not None:
            self.emit_all(answer.end(status, reason))
            self.last_item = answer.last_item


def size_of(outputs: Sequence[Fields]) -> int:
    """Return the memory of the outputs of functions."""
    return sum(OVERHEAD_BYTES + len(output["content"].encode()) for output in outputs)


def decoded(audio: str) -> bytes | None:
    """Return the bytes of base64, or None where the text is none."""
    try:
        return pybase64.b64decode(audio, validate=True)
    except ValueError:
        return None
