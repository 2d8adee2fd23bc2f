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
"""The code of the `error` for an event that has no counterpart in Deepgram's protocol."""

PAUSE_MS: Final = 1500
"""The length of the silence that ends speech which is sent again, or for which Deepgram supports no `ForceEndTurn`."""

LIFE_S: Final = 7200
"""The longest session that Deepgram serves, in seconds. The relay changes the upstream before that time."""

MAX_AUDIO_BYTES: Final = 4 * 1024 * 1024
"""The audio that may wait for `SettingsApplied`: 87 s at 24 kHz. The relay repeats up to a minute of speech."""

MAX_HELD_BYTES: Final = 8 * 1024 * 1024
"""The bound of `held_bytes`. At another upstream the relay repeats a conversation of 1 MiB and the open items."""

ASK_AGAIN_S: Final = 1.0
"""The pause before a refused question is asked again, if the agent does not stop speaking sooner."""

MAX_CAUSE_CHARS: Final = 100


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a call that the translation to Deepgram's protocol needs at each of the call's upstreams."""

    options: SessionOptions
    model: str
    """The model that the client sees."""
    as_sent: Callable[[Fields], Fields]
    """Returns the Settings for Deepgram, with the blocks of the configured agent."""
    wire_of: Callable[[str], Fields | None]
    """Returns the fields of an item by its id, or None if the relay has no such item."""


class Stage(enum.Enum):
    """The progress of the upstream, from its dial to the Settings that it applied."""

    DIALLING = "dialling"
    WELCOMED = "welcomed"
    CONFIGURING = "configuring"
    READY = "ready"
    CLOSED = "closed"
    """The upstream is abandoned: whatever it still sends is dropped."""


class Commit(msgspec.Struct):
    """A commit by the client, for whose speech Deepgram has not sent the text yet."""

    event_id: str | None
    sent_s: float
    is_cancelled: bool = False
    """Whether the client has cancelled the answer to the speech."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A client's or the relay's request for a response (`response.create`)."""

    event_id: str
    metadata: Fields | None
    outputs: tuple[Fields, ...] = ()
    """The outputs of functions, as messages for Deepgram. Deepgram answers them without a question."""
    question: Question | None = None
    """The question for Deepgram; None if Deepgram answers without one: after speech, or after outputs."""

    commit: Commit | None = None
    """The commit of the speech that the request is about, if Deepgram has sent no text of that speech yet."""

    @property
    def size_bytes(self) -> int:
        """The bytes that the request occupies, by estimate."""
        question_bytes = self.question.size_bytes if self.question is not None else OVERHEAD_BYTES
        return question_bytes + size_of(self.outputs)

    @property
    def is_of_speech(self) -> bool:
        """Whether the request is about speech alone, without a question or outputs of functions."""
        return self.question is None and not self.outputs


class Echo(msgspec.Struct):
    """A question that Deepgram was sent, and that it has not repeated as the user's text yet."""

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
    """Whether the client already has an item for the speech, because an earlier upstream heard the speech, too."""


class Agent:
    """One session of Deepgram's: its memory, and the operations of its handlers.

    The engine gets `commands`. The relay gets `events`, which are OpenAI's.
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
        """Whether audio or a request waits, so that the Settings must be sent now."""
        self.is_think_stale = False
        """Whether the instructions or functions have changed after the Settings, which Deepgram has not applied yet."""
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
        """Add a request at the end of those that wait."""
        self.asks.append(ask)
        self._asks_bytes += ask.size_bytes

    def put_back(self, ask: Ask) -> None:
        """Let a request wait before the others, because Deepgram has refused its question."""
        self.asks.appendleft(ask)
        self._asks_bytes += ask.size_bytes

    def take_ask(self, ask: Ask) -> Ask:
        """Remove a request from those that wait, and return it."""
        self.asks.remove(ask)
        self._asks_bytes -= ask.size_bytes
        return ask

    @property
    def held_bytes(self) -> int:
        """The bytes, by estimate, of the items, requests and outputs that wait for Deepgram, plus `notes_bytes`."""
        return self.history.size_bytes + self._asks_bytes + size_of(self.outputs) + self.notes_bytes

    @property
    def notes_bytes(self) -> int:
        """The bytes, by estimate, of the texts in items with the role system or developer."""
        return self.session.notes_bytes + OVERHEAD_BYTES * len(self.session.notes)

    def new_id(self, kind: str) -> str:
        """Return a new id such as `item_dg2_1f`. No other upstream of the call uses the same id."""
        self.count += 1
        return f"{kind}_dg{self.generation}_{self.count:x}"

    def emit(self, fields: Fields) -> None:
        """Send the relay an event, with an `event_id`."""
        kind = fields.pop("type")
        self.events.append(orjson.dumps({"type": kind, "event_id": self.new_id("event"), **fields}).decode())

    def emit_all(self, events: Iterator[Fields]) -> None:
        """Send the relay several events, each with an `event_id`."""
        for fields in events:
            self.emit(fields)

    def refuse(self, event_id: str | None, code: str, message: str, param: str | None = None) -> None:
        """Answer the relay's event `event_id` with an `error`. `param` names the field of the event that is wrong."""
        self.emit({"type": "error", "error": error_of(code, message, param=param, event_id=event_id)})

    def refuse_unsupported(self, event_id: str | None, message: str, param: str | None = None) -> None:
        """Refuse the event `event_id`, because it, or its field `param`, has no counterpart in Deepgram's protocol."""
        self.refuse(event_id, UNSUPPORTED, message, param)

    def send(self, frame: Fields | bytes) -> None:
        """Send Deepgram a message, or audio."""
        data = frame if isinstance(frame, bytes) else write(frame)
        self.sent_s = self.now_s
        self.commands.append(engine.SendToUpstream(data, self.generation, is_binary=isinstance(data, bytes)))

    def send_or_keep(self, frame: Fields) -> None:
        """Send Deepgram a message. Before the Settings are applied, queue the message behind the waiting audio.

        If the upstream is abandoned, drop the message.
        """
        if self.stage is Stage.READY:
            self.send(frame)
        elif self.stage is not Stage.CLOSED:
            self.waiting.keep_text(write(frame))

    def update_think(self) -> None:
        """Send Deepgram the changed instructions and functions in an `UpdateThink`.

        If Deepgram has the Settings, but has not applied them yet, send the `UpdateThink` later. Before the Settings
        are sent, send nothing, because the Settings will contain the change.
        """
        if self.stage is Stage.READY:
            self.send({"type": "UpdateThink", "think": self.session.think()})
        elif self.stage is Stage.CONFIGURING:
            self.is_think_stale = True

    def log(self, level: int, text: str) -> None:
        """Write a log line."""
        self.commands.append(engine.Log(level, self.parts.options.redact(text)))

    def abandon(self, kind: LossKind, cause: str, *, is_fatal: bool = False) -> None:
        """Abandon the upstream. The engine answers with `UpstreamLost`.

        `is_fatal` says that a new dial of the same upstream would fail alike.
        """
        self.log(logging.WARNING, f"Deepgram is abandoned: {cause}")
        self.stage = Stage.CLOSED
        loss = Loss(kind=kind, cause=cause[:MAX_CAUSE_CHARS], is_fatal=is_fatal)
        self.commands.append(engine.AbandonUpstream(self.generation, loss))

    def new_speech(self) -> Speech:
        """Begin speech, and report its start to the client.

        If the client has committed the speech and cancelled its answer, the speech begins as cancelled.
        """
        is_cancelled = self.commit is not None and self.commit.is_cancelled
        speech = Speech(self.new_id("item"), self.now_s, is_cancelled=is_cancelled)
        self.announce_speech(speech)
        return speech

    def announce_speech(self, speech: Speech) -> None:
        """Send the client `input_audio_buffer.speech_started`, unless the session's `turn_detection` is null."""
        if not self.session.is_manual:
            kind = "input_audio_buffer.speech_started"
            self.emit({"type": kind, "audio_start_ms": self.appended_ms, "item_id": speech.item_id})

    def stop_speech(self, speech: Speech) -> None:
        """Report the end of speech to the client, unless the client ends its turns by its own commits."""
        if not self.session.is_manual:
            kind = "input_audio_buffer.speech_stopped"
            self.emit({"type": kind, "audio_end_ms": self.appended_ms, "item_id": speech.item_id})

    @property
    def appended_ms(self) -> int:
        """The length of the microphone audio so far, in milliseconds."""
        return self.appended_bytes // self.session.input_bytes_per_ms

    def drop_speech(self) -> None:
        """Forget the present speech, because Deepgram sent no text for it. It was only noise."""
        speech, self.speech = self.speech, None
        if speech is not None and not speech.is_repeated and not self.session.is_manual:
            self.stop_speech(speech)
            self.emit({"type": "input_audio_buffer.cleared"})

    def begin_answer(self) -> None:
        """Begin a response, unless one is in progress. The response answers the present request, if there is one."""
        if self.answer is not None:
            return
        ask, self.current = self.current, None
        self.owes_answer = False
        metadata = ask.metadata if ask is not None else None
        self.answer = Answer(self.new_id, previous=self.last_item, metadata=metadata, is_text=self.session.is_text)
        self.emit_all(self.answer.begin())

    def end_answer(self, status: str, reason: str | None = None) -> None:
        """End the response in progress, if there is one, with the status and the reason of its `response.done`."""
        answer, self.answer = self.answer, None
        if answer is not None:
            self.emit_all(answer.end(status, reason))
            self.last_item = answer.last_item


def size_of(outputs: Sequence[Fields]) -> int:
    """Return the bytes that outputs of functions occupy, by estimate."""
    return sum(OVERHEAD_BYTES + len(output["content"].encode()) for output in outputs)


def decoded(audio: str) -> bytes | None:
    """Return the decoded bytes of a base64 text, or None if the text is not base64."""
    try:
        return pybase64.b64decode(audio, validate=True)
    except ValueError:
        return None
