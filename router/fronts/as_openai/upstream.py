"""One upstream of Deepgram's, between its wire and OpenAI's events. Pure.

Deepgram takes its Settings once, with the conversation so far. So they wait for the first question or audio, because
a client or the relay may create items before.
"""

from __future__ import annotations

import enum
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson
import pybase64

from actors import messages as engine
from actors.restart import Loss, LossKind
from router.fronts.as_openai.agent_session import AgentSession
from router.fronts.as_openai.answer import Answer
from router.fronts.as_openai.history import (
    GO_ON_TEXT,
    Entry,
    History,
    Question,
    Role,
    UnsupportedItemError,
    read,
    words_of,
)
from router.fronts.deepgram_agent.fields import objects_of, text_of, write
from router.fronts.deepgram_agent.fields import read as read_message
from router.fronts.deepgram_agent.waiting import Waiting
from router.fronts.realtime import requests
from router.fronts.realtime.wire import SERVER_ERROR, Fields, error_of
from router.session.deadlines import SPEECH_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.session.options import SessionOptions

UNSUPPORTED: Final = "unsupported_by_backend"
"""The code of the `error` that answers an event for which Deepgram's protocol has nothing."""

KEEP_ALIVE_S: Final = 6.0
"""The silence towards Deepgram, in seconds, that a `KeepAlive` ends. Deepgram closes an idle connection."""

COMMIT_S: Final = 3.0
"""The wait for the text of speech that the client committed."""

PAUSE_MS: Final = 1500
"""The silence that ends a turn of speech where Deepgram has no message for its end."""

LIFE_S: Final = 7200
"""The length of the longest session of Deepgram's, in seconds. The relay moves on before its end."""

REPEATED: Final = ("ask_", "again_")
"""The beginnings of the ids of events by which the relay repeats a question or an item at another upstream."""

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


class _Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a response."""

    event_id: str
    metadata: Fields | None
    outputs: tuple[Fields, ...] = ()
    """The outputs of functions, as messages for Deepgram. Their request waits, because Deepgram answers by itself."""
    question: Question | None = None
    """The question for Deepgram; None where Deepgram answers by itself."""


class _Echo(msgspec.Struct):
    """A question that Deepgram has not repeated."""

    text: str
    is_cancelled: bool = False
    """Whether the client has cancelled the answer."""


class _Speech(msgspec.Struct):
    """Speech of the user that has no text yet."""

    item_id: str
    began_s: float
    is_repeated: bool = False
    """Whether the speech is an item that the client has already."""


class DeepgramUpstream:
    """One upstream: `commands` are for the engine, `events` are OpenAI's events for the relay."""

    def __init__(self, opened: engine.UpstreamOpened, parts: Parts, now_s: float) -> None:
        bounds, generation = parts.options.bounds, opened.generation
        self.generation = generation
        self._opened_unix_s = opened.unix_s
        self.commands: list[engine.Command] = []
        self.events: deque[str] = deque()
        self._parts = parts
        self._now_s = now_s
        self._stage = Stage.DIALLING
        self._count = 0
        self._session = AgentSession(f"sess_dg{generation}", parts.model, parts.as_sent)
        self._history = History()
        self._waiting = Waiting(bounds.early_messages, bounds.early_bytes)
        self._held: list[engine.Command] = []
        """Commands of the relay that wait for `SettingsApplied`."""
        self._is_wanted = False
        """Whether Deepgram is needed, so that the Settings have to leave."""
        self._sent_s = now_s
        """The time of the newest frame for Deepgram."""
        self._appended_bytes = 0
        self._last_item: str | None = None
        self._speech: _Speech | None = None
        self._commit: tuple[str | None, float] | None = None
        """The client's commit that awaits its text: its `event_id` and time; None without one."""
        self._asks: deque[_Ask] = deque()
        self._current: _Ask | None = None
        """The request that Deepgram has got and has not begun to answer."""
        self._echoes: deque[_Echo] = deque()
        self._owes_answer = False
        """Whether Deepgram answers speech by itself, and the client has not requested the answer."""
        self._answer: Answer | None = None
        self._is_muted = False
        """Whether the client has cancelled what the agent says, up to the end of this turn."""
        self._calls: dict[str, str] = {}
        """The names of the functions whose output Deepgram awaits, by `call_id`."""
        self._outputs: list[Fields] = []
        """The outputs of functions that wait for a request for a response."""

    @property
    def is_applied(self) -> bool:
        """Whether Deepgram has applied the Settings."""
        return self._stage is Stage.READY

    @property
    def held_bytes(self) -> int:
        """The size of the frames that wait for Deepgram."""
        return self._waiting.size_bytes

    def hold(self, command: engine.Command) -> None:
        """Keep a command of the relay until Deepgram has applied the Settings."""
        (self.commands if self.is_applied else self._held).append(command)

    def close(self) -> None:
        """Drop what the upstream still sends, because it is abandoned."""
        self._stage = Stage.CLOSED

    def settle(self, now_s: float) -> None:
        """Send the Settings, or the next question, if it is time. The machine calls this behind each input."""
        self._now_s = now_s
        if self._stage is Stage.WELCOMED and self._is_wanted:
            self._configure()
        is_free = self._stage is Stage.READY and self._current is None and self._answer is None
        if is_free and self._asks:
            self._ask(self._asks.popleft())

    def tick(self, now_s: float) -> None:
        """Judge the waits of this upstream, and keep its connection open."""
        self._now_s = now_s
        match self._stage:
            case Stage.WELCOMED if self._held:
                self._is_wanted = True  # Deepgram does not wait for Settings for long; a standby takes that risk
            case Stage.CONFIGURING if now_s - self._sent_s >= self._parts.options.deadlines.session_updated_s:
                self._abandon(LossKind.SILENT, "session_updated")
            case Stage.READY:
                self._tick_ready()

    def _tick_ready(self) -> None:
        if self._now_s - self._sent_s >= KEEP_ALIVE_S:
            self._send({"type": "KeepAlive"})
        if self._commit is not None and self._now_s - self._commit[1] >= COMMIT_S:
            self._commit_without_speech(self._commit[0])
        if self._speech is not None and self._now_s - self._speech.began_s >= SPEECH_S:
            self._drop_speech()

    # To the relay.

    def _new_id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_dg{self.generation}_{self._count:x}"

    def _emit(self, fields: Fields) -> None:
        kind = fields.pop("type")
        self.events.append(orjson.dumps({"type": kind, "event_id": self._new_id("event"), **fields}).decode())

    def _emit_all(self, events: Iterator[Fields]) -> None:
        for fields in events:
            self._emit(fields)

    def _refuse(self, event_id: str | None, code: str, message: str, param: str | None = None) -> None:
        self._emit({"type": "error", "error": error_of(code, message, param=param, event_id=event_id)})

    def _refuse_unsupported(self, event_id: str | None, message: str, param: str | None = None) -> None:
        self._refuse(event_id, UNSUPPORTED, message, param)

    # To Deepgram.

    def _send(self, frame: Fields | bytes) -> None:
        data = frame if isinstance(frame, bytes) else write(frame)
        self._sent_s = self._now_s
        self.commands.append(engine.SendToUpstream(data, self.generation, is_binary=isinstance(data, bytes)))

    def _log(self, level: int, text: str) -> None:
        self.commands.append(engine.Log(level, self._parts.options.redact(text)))

    def _abandon(self, kind: LossKind, cause: str, *, is_fatal: bool = False) -> None:
        self._log(logging.WARNING, f"Deepgram is abandoned: {cause}")
        self.close()
        loss = Loss(kind=kind, cause=cause[:MAX_CAUSE_CHARS], is_fatal=is_fatal)
        self.commands.append(engine.AbandonUpstream(self.generation, loss))

    def _configure(self) -> None:
        self._stage = Stage.CONFIGURING
        self._send(self._session.settings(self._history.begin()))

    def _ask(self, ask: _Ask) -> None:
        self._current = ask
        for output in ask.outputs:
            self._send(output)
        question = ask.question
        if question is None:
            return
        if question.text:
            self._echoes.append(_Echo(question.text))
            self._send({"type": "InjectUserMessage", "content": question.text})
            return
        # Speech without words: the upstream that heard it made no text of it.
        self._speech = _Speech("", self._now_s, is_repeated=True)
        self._send(_decoded(question.audio) or b"")
        self._send(self._session.silence(PAUSE_MS))

    # Deepgram's messages.

    def take_text(self, text: str, now_s: float) -> None:
        """Take a message of Deepgram's."""
        self._now_s = now_s
        if self._stage is Stage.CLOSED:
            return
        fields = read_message(text)
        if isinstance(fields, str):
            self._abandon(LossKind.MALFORMED, fields)
            return
        take = _MESSAGES.get(text_of(fields, "type"))
        if take is not None:
            take(self, fields)

    def take_audio(self, audio: bytes, now_s: float) -> None:
        """Take a piece of the agent's audio. Audio outside of a response belongs to an answer that was cut off."""
        self._now_s = now_s
        if self._answer is not None and self._stage is Stage.READY:
            self._emit_all(self._answer.play(audio))

    def _welcome(self, _fields: Fields) -> None:
        if self._stage is Stage.DIALLING:
            self._stage = Stage.WELCOMED
            expires_at = round(self._opened_unix_s) + LIFE_S
            self._emit({"type": "session.created", "session": {**self._session.shown, "expires_at": expires_at}})

    def _applied(self, _fields: Fields) -> None:
        self._stage = Stage.READY
        self.commands += self._held
        self._held = []
        for frame in self._waiting.take():
            self._send(frame if isinstance(frame, bytes) else orjson.loads(frame))

    def _user_spoke(self, _fields: Fields) -> None:
        if self._speech is not None:
            return
        self._speech = _Speech(self._new_id("item"), self._now_s)
        self._is_muted = False
        self._announce_speech(self._speech)
        self._end_answer("cancelled", "turn_detected")

    def _announce_speech(self, speech: _Speech) -> None:
        if not self._session.is_manual:
            kind = "input_audio_buffer.speech_started"
            self._emit({"type": kind, "audio_start_ms": self._appended_ms, "item_id": speech.item_id})

    def _stop_speech(self, speech: _Speech) -> None:
        if not self._session.is_manual:
            kind = "input_audio_buffer.speech_stopped"
            self._emit({"type": kind, "audio_end_ms": self._appended_ms, "item_id": speech.item_id})

    @property
    def _appended_ms(self) -> int:
        return self._appended_bytes // self._session.input_bytes_per_ms

    def _drop_speech(self) -> None:
        """Forget speech of which Deepgram has made no text: it was a noise."""
        speech, self._speech = self._speech, None
        if speech is not None and not speech.is_repeated and not self._session.is_manual:
            self._stop_speech(speech)
            self._emit({"type": "input_audio_buffer.cleared"})

    def _said(self, fields: Fields) -> None:
        text = text_of(fields, "content")
        if text_of(fields, "role") == "user":
            self._user_said(text)
        elif text and not self._is_muted:
            if text_of(fields, "conversational_behavior") != "backchannel":  # a sign of listening, during speech
                self._drop_speech()
            self._begin_answer()
            if self._answer is not None:
                self._emit_all(self._answer.say(text))

    def _user_said(self, text: str) -> None:
        self._is_muted = False
        speech = self._speech
        is_echo = bool(self._echoes) and (speech is None or self._echoes[0].text.strip() == text.strip())
        self._end_answer("cancelled", "turn_detected")
        if is_echo:
            self._is_muted = self._echoes.popleft().is_cancelled
        elif speech is not None and speech.is_repeated:
            self._speech = None
        else:
            if speech is None:
                speech = _Speech(self._new_id("item"), self._now_s)
                self._announce_speech(speech)
            self._speech = None
            self._commit_speech(speech, text)

    def _commit_speech(self, speech: _Speech, text: str) -> None:
        self._stop_speech(speech)
        self._commit = None
        self._owes_answer = True
        previous, self._last_item = self._last_item, speech.item_id
        place = {"previous_item_id": previous}
        self._emit({"type": "input_audio_buffer.committed", **place, "item_id": speech.item_id})
        item = {
            "id": speech.item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": text}],
        }
        self._emit({"type": "conversation.item.added", **place, "item": item})
        self._emit({"type": "conversation.item.done", **place, "item": item})
        if self._session.transcribes:
            kind = "conversation.item.input_audio_transcription.completed"
            usage = {"type": "duration", "seconds": 0}
            self._emit({"type": kind, "item_id": item["id"], "content_index": 0, "transcript": text, "usage": usage})

    def _begin_answer(self) -> None:
        if self._answer is not None:
            return
        ask, self._current = self._current, None
        self._owes_answer = False
        metadata = ask.metadata if ask is not None else None
        self._answer = Answer(self._new_id, previous=self._last_item, metadata=metadata, is_text=self._session.is_text)
        self._emit_all(self._answer.begin())

    def _end_answer(self, status: str, reason: str | None = None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self._emit_all(answer.end(status, reason))
            self._last_item = answer.last_item

    def _agent_done(self, _fields: Fields) -> None:
        self._is_muted = False
        self._end_answer("completed")

    def _called(self, fields: Fields) -> None:
        functions = [it for it in objects_of(fields, "functions") if it.get("client_side") is not False]
        if not functions or self._is_muted:
            return
        self._begin_answer()
        for function in functions:
            call_id, name = text_of(function, "id") or self._new_id("call"), text_of(function, "name")
            self._calls[call_id] = name
            if self._answer is not None:
                self._emit_all(self._answer.call(call_id, name, text_of(function, "arguments") or "{}"))
        self._end_answer("completed")

    def _calls_cancelled(self, fields: Fields) -> None:
        cancelled = {text_of(function, "id") for function in objects_of(fields, "functions")}
        self._calls = {call_id: name for call_id, name in self._calls.items() if call_id not in cancelled}
        self._outputs = [output for output in self._outputs if output["id"] not in cancelled]

    def _warned(self, fields: Fields) -> None:
        self._log(logging.WARNING, f"Deepgram warns: {text_of(fields, 'code')}: {text_of(fields, 'description')}")
        if text_of(fields, "code") == "FORCE_END_TURN_UNSUPPORTED" and self._commit is not None:
            self._send(self._session.silence(PAUSE_MS))

    def _failed(self, fields: Fields) -> None:
        code, description = text_of(fields, "code"), text_of(fields, "description")
        if self._stage is not Stage.READY:
            self._log(logging.ERROR, f"Deepgram refuses the session: {code}: {description}")
            self._abandon(LossKind.REFUSED, self._parts.options.redact(code), is_fatal=True)
            return
        # Its close follows, and the relay drops the error then.
        error = error_of(code.lower(), description, kind=SERVER_ERROR)
        self._emit({"type": "error", "error": error})

    # The relay's events.

    def send(self, frame: str | bytes, now_s: float) -> None:
        """Take an event of OpenAI's that the relay sends this upstream."""
        self._now_s = now_s
        fields: Fields = orjson.loads(frame)
        kind, event_id = text_of(fields, "type"), fields.get("event_id")
        take = _EVENTS.get(kind)
        given = event_id if isinstance(event_id, str) else None
        if take is None:
            self._refuse_unsupported(given, f"Deepgram's backend has nothing like {kind[:80]}.", "type")
        else:
            take(self, fields, given)

    def _update(self, event: Fields, event_id: str | None) -> None:
        update = _child(event, "session")
        is_sent = self._stage is not Stage.WELCOMED
        changed = self._session.changed_format(update) if is_sent else None
        if changed is not None:
            message = "Deepgram's backend cannot change the format of the audio within a session."
            self._refuse_unsupported(event_id, message, changed)
            return
        self._session.apply(update)
        if is_sent and update.keys() & {"instructions", "tools", "tool_choice"}:
            self._send_or_keep({"type": "UpdateThink", "think": self._session.think()})
        self._emit({"type": "session.updated", "session": self._session.shown})

    def _send_or_keep(self, frame: Fields) -> None:
        if self._stage is Stage.READY:
            self._send(frame)
        elif self._stage is Stage.CONFIGURING:
            self._waiting.keep_text(write(frame))

    def _append(self, event: Fields, event_id: str | None) -> None:
        audio = _decoded(text_of(event, "audio"))
        if audio is None:
            self._refuse(event_id, "invalid_value", "The audio is no base64.", "audio")
            return
        self._is_wanted = True
        self._appended_bytes += len(audio)
        if self._stage is Stage.READY:
            self._send(audio)
        elif audio:
            self._waiting.keep_audio(audio)

    def _committed(self, _event: Fields, event_id: str | None) -> None:
        if not self._appended_bytes:
            self._refuse(event_id, "input_audio_buffer_commit_empty", "Error committing input audio buffer: empty.")
            return
        self._commit = event_id, self._now_s
        self._owes_answer = True
        self._send_or_keep({"type": "ForceEndTurn"})

    def _commit_without_speech(self, event_id: str | None) -> None:
        self._commit = None
        message = "Error committing input audio buffer: no speech was heard."
        self._refuse(event_id, "input_audio_buffer_commit_empty", message)
        ask, self._current, self._owes_answer = self._current, None, False
        if ask is not None:
            self._refuse(ask.event_id, "response_without_input", "There is no input to respond to.")

    def _clear(self, _event: Fields, event_id: str | None) -> None:
        if self._speech is None:
            self._emit({"type": "input_audio_buffer.cleared"})
        else:
            self._refuse_unsupported(event_id, "Deepgram's backend has heard the audio of this speech already.")

    def _create_item(self, event: Fields, event_id: str | None) -> None:
        item = _child(event, "item")
        if item.get("type") == "message" and item.get("role") in ("system", "developer"):
            self._note(item)
        else:
            problem = self._problem_of(item)
            if problem is not None:
                self._refuse_unsupported(event_id, problem, "item")
                return
        previous, self._last_item = self._last_item, str(item.get("id", ""))
        made = {"object": "realtime.item", "status": "completed", **item}
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._emit({"type": kind, "previous_item_id": previous, "item": made})

    def _note(self, item: Fields) -> None:
        parts = item.get("content")
        words = " ".join(words_of(part) for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ""
        self._session.notes.append(words)
        self._send_or_keep({"type": "UpdateThink", "think": self._session.think()})

    def _problem_of(self, item: Fields) -> str | None:
        """Take an item into the history. Return a sentence about the item where that is not possible."""
        try:
            entry = read(item)
        except UnsupportedItemError as error:
            return str(error)
        is_begun = self._stage is not Stage.WELCOMED
        if is_begun and entry.role in (Role.ASSISTANT, Role.CALL):
            return "Deepgram's backend takes what the agent said only before the first question."
        if entry.role is Role.OUTPUT and entry.call_id in self._calls:
            self._take_output(entry)
        else:
            self._history.add(entry)
        return None

    def _take_output(self, entry: Entry) -> None:
        name = self._calls.pop(entry.call_id)
        output = {"type": "FunctionCallResponse", "id": entry.call_id, "name": name, "content": entry.text}
        if self._current is not None and self._current.outputs:
            self._send(output)  # Deepgram answers when it has all outputs
        else:
            self._outputs.append(output)

    def _delete(self, event: Fields, event_id: str | None) -> None:
        if self._history.remove(event.get("item_id")):
            self._emit({"type": "conversation.item.deleted", "item_id": event["item_id"]})
        else:
            message = "Deepgram's backend cannot delete what it has in its conversation."
            self._refuse_unsupported(event_id, message, "item_id")

    def _truncate(self, event: Fields, _event_id: str | None) -> None:
        # Deepgram cuts its own record when the user interrupts.
        place = {name: event.get(name, 0) for name in ("item_id", "content_index", "audio_end_ms")}
        self._emit({"type": "conversation.item.truncated", **place})

    def _retrieve(self, event: Fields, event_id: str | None) -> None:
        wire = self._parts.wire_of(str(event.get("item_id")))
        if wire is None:
            code = "item_retrieve_invalid_item_id"
            self._refuse(event_id, code, "The item does not exist.", "item_id")
        else:
            self._emit({"type": "conversation.item.retrieved", "item": wire})

    def _respond(self, event: Fields, event_id: str | None) -> None:
        response = _child(event, "response")
        outside = next((name for name in ("conversation", "input") if response.get(name) not in (None, "auto")), None)
        if outside is not None:
            message = "Deepgram's backend gives no response outside of its conversation."
            self._refuse_unsupported(event_id, message, f"response.{outside}")
            return
        is_repeated = (event_id or "").startswith(REPEATED)
        is_taken = self._owes_answer or self._answer is not None
        question = None if is_taken else self._history.take_question(is_repeated=is_repeated)
        is_new = question is not None or bool(self._outputs) or self._owes_answer
        is_asked = self._current is not None or bool(self._asks)
        if self._answer is not None or (is_asked and not is_new):
            message = "Conversation already has an active response in progress."
            self._refuse(event_id, "conversation_already_has_active_response", message)
            return
        if not is_new:
            instructions = text_of(response, "instructions")
            question = Question(instructions if instructions and not is_repeated else GO_ON_TEXT)
        metadata = response.get("metadata")
        self._asks.append(
            _Ask(
                event_id=event_id or "",
                metadata=metadata if isinstance(metadata, dict) else None,
                outputs=() if self._owes_answer else tuple(self._outputs),
                question=question,
            )
        )
        self._outputs = self._outputs if self._owes_answer else []
        self._is_wanted, self._owes_answer = True, False

    def _cancel(self, _event: Fields, event_id: str | None) -> None:
        if self._answer is not None or self._current is not None:
            self._is_muted = True
            for echo in self._echoes:
                echo.is_cancelled = True
        elif self._asks:
            self._current = self._asks.popleft()
            self._take_back(self._current)
        else:
            self._refuse(event_id, "response_cancel_not_active", "Cancellation failed: no active response found")
            return
        self._begin_answer()
        self._end_answer("cancelled", "client_cancelled")

    def _take_back(self, ask: _Ask) -> None:
        """Keep the question and the outputs of a request that Deepgram has not got for the next request."""
        self._outputs = [*ask.outputs, *self._outputs]
        if ask.question is not None:
            self._history.add(Entry(role=Role.USER, item_id="", text=ask.question.text, audio=ask.question.audio))


def _child(event: Fields, name: str) -> Fields:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _decoded(audio: str) -> bytes | None:
    try:
        return pybase64.b64decode(audio, validate=True)
    except ValueError:
        return None


_MESSAGES: Final[dict[str, Callable[[DeepgramUpstream, Fields], None]]] = {
    "Welcome": DeepgramUpstream._welcome,  # noqa: SLF001 - the tables of this class
    "SettingsApplied": DeepgramUpstream._applied,  # noqa: SLF001
    "UserStartedSpeaking": DeepgramUpstream._user_spoke,  # noqa: SLF001
    "ConversationText": DeepgramUpstream._said,  # noqa: SLF001
    "AgentAudioDone": DeepgramUpstream._agent_done,  # noqa: SLF001
    "FunctionCallRequest": DeepgramUpstream._called,  # noqa: SLF001
    "FunctionCallCancelled": DeepgramUpstream._calls_cancelled,  # noqa: SLF001
    "Warning": DeepgramUpstream._warned,  # noqa: SLF001
    "Error": DeepgramUpstream._failed,  # noqa: SLF001
}
"""Deepgram's messages that change something, and the handler of each. Any other message has no event of OpenAI's."""

_EVENTS: Final[dict[str, Callable[[DeepgramUpstream, Fields, Any], None]]] = {
    requests.UPDATE: DeepgramUpstream._update,  # noqa: SLF001
    requests.APPEND: DeepgramUpstream._append,  # noqa: SLF001
    requests.COMMIT: DeepgramUpstream._committed,  # noqa: SLF001
    requests.CLEAR: DeepgramUpstream._clear,  # noqa: SLF001
    requests.CREATE_ITEM: DeepgramUpstream._create_item,  # noqa: SLF001
    requests.DELETE: DeepgramUpstream._delete,  # noqa: SLF001
    requests.TRUNCATE: DeepgramUpstream._truncate,  # noqa: SLF001
    requests.RETRIEVE: DeepgramUpstream._retrieve,  # noqa: SLF001
    requests.CREATE_RESPONSE: DeepgramUpstream._respond,  # noqa: SLF001
    requests.CANCEL_RESPONSE: DeepgramUpstream._cancel,  # noqa: SLF001
}
"""The events that Deepgram can take, and the handler of each. Any other event is answered with an `error`."""
