"""A telephone call: Twilio's messages become the inputs of a session, and the session's messages become Twilio's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
import orjson

from actors import messages as engine
from actors.connections.base import ConnectionClosed, Ending
from actors.connections.close_codes import CloseCode
from router import closes
from router.fronts.named_agents import OWN
from router.fronts.twilio import key_function
from router.fronts.twilio import messages as twilio
from router.fronts.twilio.key_function import KeyFunction
from router.fronts.twilio.keypad import PAUSE_S, Keypad, message_of
from router.fronts.twilio.marks import TelephoneMarks, progress_of
from router.fronts.twilio.playout import Playout, PlayoutMemory
from router.fronts.twilio.wires import TWILIO, Wire
from router.fronts.wire_bytes import wire_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from actors.machine import Marks
    from router.fronts.front import Call
    from router.fronts.twilio.playout import Piece

KEYPAD_TIMER: Final = "twilio.keypad"
"""The pause that ends a number. The names of a front's timers have a dot, and those of the session's have none."""
KEYS_TIMER: Final = "twilio.keys"
"""The wait from a call of the function `read_keys` to its output."""

AGENT: Final = "agent"
"""The call's parameter that names an agent of the configuration. All parameters become variables of that agent."""

_UNAVAILABLE: Final = '{"error":"this function is not available"}'
"""The output of a function that no telephone can run."""

_HUNG_UP: Final = engine.ClientClosed(
    ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=CloseCode.NORMAL_CLOSURE, reason="the call has ended")
)


def _audio(wire: Wire) -> dict[str, Any]:
    """Return the `audio` block of the session's Settings. Mu-law passes unchanged if the upstream takes it."""
    found = {"encoding": wire.shape.encoding, "sample_rate": wire.shape.sample_rate}
    return {"input": found, "output": {**found, "container": "none"}}


class Memory(msgspec.Struct, frozen=True, array_like=True):
    """The memory of a call. Another version of the program may read it, so a new field needs a default."""

    stream_sid: str
    call_sid: str
    keys: str
    playout: PlayoutMemory
    key_calls: tuple[list[str], str | None] = ([], None)
    """The memory of the function `read_keys`."""


_MEMORIES: Final = msgspec.msgpack.Decoder(Memory)


class TelephoneCall:
    """The machine of one call, around the machine of its session. Both run on the dispatcher's thread."""

    def __init__(self, call: Call, wire: Wire = TWILIO) -> None:
        self._wire = wire
        self._query = {name: value for name, value in call.query.items() if name not in OWN}
        self._session = call.session
        self._machine = call.machine
        self._agents = call.agents
        self._names = call.names
        self._session_id = call.session_id
        self._call_sid = ""
        self._ignores_keys = call.config.twilio_dtmf == "ignore"
        self._key_function = KeyFunction() if call.config.twilio_dtmf == "function" else None
        self._playout = Playout(wire.shape)
        self._keypad = Keypad()
        self._stream_sid = ""
        """The id of the stream, which every message to Twilio contains; empty before the stream has started."""
        self._has_ended = False
        self._marks = TelephoneMarks(call.session)
        if call.memory:
            self._remember(_MEMORIES.decode(call.memory))

    def memory(self, *, is_brief: bool = False) -> bytes:  # noqa: ARG002 - it has no audio
        """Return the memory of this call, for the machine of another process; see `Remembering`."""
        calls = self._key_function.memory if self._key_function is not None else ([], None)
        memory = Memory(self._stream_sid, self._call_sid, self._keypad.keys, self._playout.memory, calls)
        return msgspec.msgpack.encode(memory)

    def marks_around(self, marks: Marks) -> Marks:
        """Return the signs that this call has to be stored; see `Noting`. `marks` are those of its session."""
        self._marks = TelephoneMarks(marks)
        return self._marks

    def _remember(self, memory: Memory) -> None:
        self._stream_sid, self._call_sid = memory.stream_sid, memory.call_sid
        self._keypad = Keypad(memory.keys)
        self._playout = Playout(self._wire.shape, memory.playout)
        if self._key_function is not None:
            self._key_function = KeyFunction(*memory.key_calls)
        if self._call_sid:
            self._names.add(self._call_sid, self._session_id)

    def handle(self, message: engine.Input, now_s: float) -> list[engine.Command]:
        """Take an input, and return the commands that follow; see `Machine.handle`."""
        match message:
            case engine.ClientTextReceived(text):
                decoded = twilio.decode(text, self._wire)
                self._marks.was_audio = isinstance(decoded, twilio.Media | twilio.Mark)
                return list(self._takes[type(decoded)](self, decoded, now_s))
            case engine.ClientBinaryReceived() if not (self._wire.has_binary_audio and self._stream_sid):
                return []  # Media Streams has no binary messages
            case engine.ClientAdopted():
                return [*self._start_timers(), *self._pass_on(self._advance(message), now_s)]
            case engine.TimerFired(name) if name == KEYPAD_TIMER:
                return list(self._send_keys(now_s))
            case engine.TimerFired(name) if name == KEYS_TIMER and self._key_function is not None:
                return list(self._answer_calls(self._key_function.time_out(), now_s))
        return list(self._pass_on(message, now_s))

    def held_bytes(self) -> int:
        """Return the bytes that the session holds back; see `Machine.held_bytes`."""
        return self._machine.held_bytes()

    def describe(self) -> engine.Facts:
        """Return a few facts about the call and its session."""
        return {**self._machine.describe(), "stream_sid": self._stream_sid, "call_sid": self._call_sid}

    def _start_timers(self) -> Iterator[engine.Command]:
        """Start again the timers that ran in the process from which the call came."""
        if self._keypad.keys:
            yield engine.StartTimer(KEYPAD_TIMER, PAUSE_S)
        if self._key_function is not None and self._key_function.is_waiting:
            yield engine.StartTimer(KEYS_TIMER, key_function.WAIT_S)

    def _advance(self, adopted: engine.ClientAdopted) -> engine.ClientAdopted:
        """Note the audio that the other process sent after its record, and return the input for the session.

        The given `sent_bytes` counts bytes of frames on the client's wire. The returned `sent_bytes` counts bytes
        of the session's audio.
        """
        words, pieces = progress_of(adopted.words, adopted.sent_bytes)
        return msgspec.structs.replace(adopted, words=words, sent_bytes=self._playout.advance(pieces))

    # From Twilio.

    def _start(self, start: twilio.Start, now_s: float) -> Iterator[engine.Command]:
        if self._stream_sid:
            return
        self._stream_sid, self._call_sid = start.stream_sid, start.call_sid
        if start.call_sid and not self._names.add(start.call_sid, self._session_id):
            line = f"another session has the call {start.call_sid} already: requests about it go there"
            yield engine.Log(logging.WARNING, line)
        yield engine.Log(logging.INFO, f"call {start.call_sid}, stream {start.stream_sid}")
        if not twilio.is_served(start.media_format, self._wire):
            given, shape = start.media_format, self._wire.shape
            served = f"{shape.encoding} at {shape.sample_rate // 1000} kHz"
            yield from self._refuse(f"the stream is {given.encoding} at {given.sample_rate} Hz, and {served} is served")
            return
        parameters = {**self._query, **start.custom_parameters}
        agent_id = parameters.get(AGENT)
        settings = self._agents.settings(agent_id, _audio(self._wire), parameters)
        if settings is None:
            yield from self._refuse(f"there is no agent {agent_id}: configure [agents.{agent_id}]")
        else:
            if self._key_function is not None:
                settings = key_function.added_to(settings)
            yield from self._pass_on(engine.ClientTextReceived(settings), now_s)

    def _refuse(self, reason: str) -> Iterator[engine.Command]:
        yield engine.Log(logging.ERROR, reason)
        # Twilio continues with the TwiML after <Connect>.
        self._has_ended = True
        self._names.remove(self._call_sid, self._session_id)
        yield engine.EndSession(closes.CALL_REFUSED.code, reason[:120])

    def _media(self, media: twilio.Media, now_s: float) -> Iterator[engine.Command]:
        audio = twilio.audio_of(media)
        if audio and self._stream_sid:
            yield from self._pass_on(engine.ClientBinaryReceived(audio), now_s)

    def _mark(self, mark: twilio.Mark, now_s: float) -> Iterator[engine.Command]:
        left_s = self._playout.left_s(mark.name)
        if left_s is not None:
            self._session.correct_playback(left_s, now_s)
        return iter(())

    def _dtmf(self, dtmf: twilio.Dtmf, now_s: float) -> Iterator[engine.Command]:
        if self._ignores_keys:
            return
        if self._keypad.press(dtmf.digit):
            yield from self._send_keys(now_s)
        else:
            yield engine.StartTimer(KEYPAD_TIMER, PAUSE_S)

    def _send_keys(self, now_s: float) -> Iterator[engine.Command]:
        keys = self._keypad.take()
        if keys is None:
            return
        yield engine.CancelTimer(KEYPAD_TIMER)
        if self._key_function is None:
            yield from self._to_session(now_s, type="InjectUserMessage", content=message_of(keys))
        else:
            yield from self._answer_calls(self._key_function.press(keys), now_s)

    def _answer_calls(self, outputs: Iterable[tuple[str, str]], now_s: float) -> Iterator[engine.Command]:
        yield engine.CancelTimer(KEYS_TIMER)
        for identity, output in outputs:
            answer = {"id": identity, "name": key_function.NAME, "content": output}
            yield from self._to_session(now_s, type="FunctionCallResponse", **answer)

    def _stop(self, _stop: twilio.Stop, now_s: float) -> Iterator[engine.Command]:
        # The session ends before the socket, which Twilio may leave open, because every further token costs money.
        yield from self._pass_on(_HUNG_UP, now_s)

    def _unknown(self, unknown: twilio.Unknown, _now_s: float) -> Iterator[engine.Command]:
        yield engine.Log(logging.DEBUG, f"ignored: {unknown.problem}")

    # To the session, and back.

    def _to_session(self, now_s: float, **fields: Any) -> Iterator[engine.Command]:
        return self._pass_on(engine.ClientTextReceived(orjson.dumps(fields).decode()), now_s)

    def _pass_on(self, message: engine.Input, now_s: float) -> Iterator[engine.Command]:
        if self._has_ended:
            return
        for command in self._machine.handle(message, now_s):
            if isinstance(command, engine.SendToClient):
                yield from self._translate(command.frame, now_s)
                continue
            if isinstance(command, engine.EndSession):
                self._names.remove(self._call_sid, self._session_id)
            yield command

    def _translate(self, frame: str | bytes, now_s: float) -> Iterable[engine.Command]:
        if isinstance(frame, bytes):
            return self._play(self._playout.add(frame))
        fields = orjson.loads(frame)
        translate = _MESSAGES.get(fields["type"])
        return () if translate is None else translate(self, fields, now_s)

    def _play(self, pieces: Iterable[Piece]) -> Iterator[engine.Command]:
        for piece in pieces:
            frames = self._media_of(piece.audio)
            mark = twilio.mark(self._stream_sid, piece.mark, self._wire)
            self._marks.note(sum(map(wire_bytes, frames)), len(piece.audio), wire_bytes(mark))
            yield from map(engine.SendToClient, [*frames, mark])

    def _media_of(self, audio: bytes) -> Sequence[str | bytes]:
        if not self._wire.has_binary_audio:
            return [twilio.media(self._stream_sid, audio, self._wire)]
        frame_bytes = self._wire.shape.frame_bytes
        return [audio[at : at + frame_bytes] for at in range(0, len(audio), frame_bytes)]

    def _clear(self, _fields: Any, _now_s: float) -> Iterator[engine.Command]:
        self._playout.clear()
        if self._stream_sid:
            yield engine.SendToClient(twilio.clear(self._stream_sid, self._wire))

    def _finish(self, _fields: Any, _now_s: float) -> Iterator[engine.Command]:
        return self._play(self._playout.finish())

    def _answer_functions(self, fields: Any, now_s: float) -> Iterator[engine.Command]:
        for function in fields["functions"]:
            if function["client_side"] and function["name"] == key_function.NAME and self._key_function is not None:
                yield from self._read_keys(self._key_function, function["id"], now_s)
            elif function["client_side"]:
                yield engine.Log(logging.ERROR, f"function {function['name']} has no endpoint: no client can run it")
                answer = {"id": function["id"], "name": function["name"], "content": _UNAVAILABLE}
                yield from self._to_session(now_s, type="FunctionCallResponse", **answer)

    def _read_keys(self, function: KeyFunction, identity: str, now_s: float) -> Iterator[engine.Command]:
        output = function.call(identity)
        if output is None:
            yield engine.StartTimer(KEYS_TIMER, key_function.WAIT_S)
        else:
            yield from self._answer_calls([(identity, output)], now_s)

    def _cancel_functions(self, fields: Any, _now_s: float) -> Iterator[engine.Command]:
        if self._key_function is not None:
            for function in fields["functions"]:
                self._key_function.cancel(function["id"])
            if not self._key_function.is_waiting:
                yield engine.CancelTimer(KEYS_TIMER)

    def _log(self, fields: Any, _now_s: float) -> Iterator[engine.Command]:
        level = logging.WARNING if fields["type"] == "Error" else logging.INFO
        yield engine.Log(level, f"{fields['type']} {fields.get('code')}: {fields.get('description')}")

    _takes: Final[dict[type, Callable[[Any, Any, float], Iterable[engine.Command]]]] = {
        twilio.Start: _start,
        twilio.Media: _media,
        twilio.Mark: _mark,
        twilio.Dtmf: _dtmf,
        twilio.Stop: _stop,
        twilio.Unknown: _unknown,
    }


assert set(TelephoneCall._takes) == set(get_args(twilio.Message))  # noqa: S101, SLF001 - a table without a gap

_MESSAGES: Final[dict[str, Callable[[Any, Any, float], Iterable[engine.Command]]]] = {
    "UserStartedSpeaking": TelephoneCall._clear,  # noqa: SLF001 - the table of this class
    "AgentAudioDone": TelephoneCall._finish,  # noqa: SLF001
    "FunctionCallRequest": TelephoneCall._answer_functions,  # noqa: SLF001
    "FunctionCallCancelled": TelephoneCall._cancel_functions,  # noqa: SLF001
    "Error": TelephoneCall._log,  # noqa: SLF001
    "Warning": TelephoneCall._log,  # noqa: SLF001
}
"""The handlers of the session's messages. A telephone shows no text, so all other messages are dropped."""
