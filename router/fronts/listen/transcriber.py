"""A transcription by a session of the router, in which the user speaks and no agent answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from actors import messages as engine
from actors.connections.base import ConnectionClosed, Ending
from actors.connections.close_codes import CloseCode
from router.audio.formats import Format
from router.fronts.deepgram_agent.guarded import BLOCKED
from router.fronts.listen import results
from router.fronts.listen.parameters import is_on, settings_of
from router.fronts.listen.results import Words
from router.session.state.limited import BY_CODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from actors.machine import Marks
    from router.fronts.front import Call

CLOSE_TIMER: Final = "listen.close"
"""The wait from `CloseStream` to the end of the session, unless the last words end it sooner."""

CLOSE_WAIT_S: Final = 5.0

SETTLE_S: Final = 1.0
"""The length of the wait for a ready session without open speech. The last audio may still have speech."""

_KEEP_ALIVE: Final = engine.ClientTextReceived('{"type":"KeepAlive"}')
_GONE: Final = engine.ClientClosed(
    ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=CloseCode.NORMAL_CLOSURE, reason="the stream is closed")
)


_MEMORIES: Final = msgspec.msgpack.Decoder(tuple[int, float, bool, bool, bool])


class TranscriberMarks:
    """The signs that one transcription has to be stored; see `actors.machine.Marks`."""

    __slots__ = ("_marks", "note_stored", "own", "take_words", "words_bytes")

    was_audio = is_exact = False
    may_drop_audio = staticmethod(bool)
    """No audio is dropped, because the times of the words count all of it."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self.own = 0
        """The number of records that the transcription itself has requested."""
        self.note_stored = marks.note_stored
        self.take_words = marks.take_words
        self.words_bytes = marks.words_bytes

    @property
    def record_due(self) -> int:
        """A number that changes when a whole snapshot has to be stored."""
        return self._marks.record_due + self.own

    @property
    def words_due(self) -> int:
        """A number that changes when it is enough to store the words of `take_words`."""
        return self._marks.words_due


class Transcriber:
    """The machine of one transcription, around the machine of its session."""

    def __init__(self, call: Call) -> None:
        self._machine = call.machine
        self._request_id = call.session_id
        self._model = call.config.transcription_model
        self._query = call.query
        heard = Format(call.query["encoding"], int(call.query.get("sample_rate", "16000")))  # type: ignore[arg-type] # checked before the upgrade
        self._bytes_per_s = heard.bytes_per_s
        # The detector needs its configured silence, and some more.
        self._silence = engine.ClientBinaryReceived(heard.silence(call.config.vad_silence_ms + 300))
        self._heard_bytes = 0
        self._start_s = 0.0
        """The time at which the user's last speech began, in seconds from the start of the audio."""
        self._is_ready = False
        self._is_open = False
        """Whether the user has begun to speak and the final words of this speech have not come."""
        self._is_closing = False
        self._marks = TranscriberMarks(call.session)
        if call.memory:
            (
                self._heard_bytes,
                self._start_s,
                self._is_ready,
                self._is_open,
                self._is_closing,
            ) = _MEMORIES.decode(call.memory)

    def memory(self, *, is_brief: bool = False) -> bytes:  # noqa: ARG002 - it has no audio
        """Return the memory, for the machine of another process; see `Remembering`."""
        facts = self._heard_bytes, self._start_s, self._is_ready, self._is_open, self._is_closing
        return msgspec.msgpack.encode(facts)

    def marks_around(self, marks: Marks) -> Marks:
        """Return the signs that this transcription has to be stored; see `Noting`. `marks` are those of its session."""
        self._marks = TranscriberMarks(marks)
        return self._marks

    def handle(self, message: engine.Input, now_s: float) -> list[engine.Command]:
        """Take an input, and return the commands that follow; see `Machine.handle`."""
        match message:
            case engine.ClientTextReceived(text):
                return list(self._take_text(text, now_s))
            case engine.ClientBinaryReceived(data):
                self._heard_bytes += len(data)
            case engine.TimerFired(name) if name == CLOSE_TIMER:
                return list(self._close(now_s))
            case engine.ClientAdopted(is_planned=is_planned):
                return list(self._adopt(is_planned, now_s))
        commands = list(self._pass_on(message, now_s))
        if isinstance(message, engine.ClientOpened):
            commands += self._pass_on(engine.ClientTextReceived(settings_of(self._query)), now_s)
        return commands

    def held_bytes(self) -> int:
        """Return the bytes that the session holds back; see `Machine.held_bytes`."""
        return self._machine.held_bytes()

    def describe(self) -> engine.Facts:
        """Return a few facts about the session."""
        return self._machine.describe()

    def _adopt(self, is_planned: bool, now_s: float) -> Iterator[engine.Command]:
        if self._is_closing:
            yield engine.StartTimer(CLOSE_TIMER, CLOSE_WAIT_S)
        # The client gets no audio, so no byte that was sent is audio.
        yield from self._pass_on(engine.ClientAdopted(is_planned), now_s)

    # From the client.

    def _take_text(self, text: str, now_s: float) -> Iterator[engine.Command]:
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError:
            fields = None
        kind = fields.get("type") if isinstance(fields, dict) else None
        take = _MESSAGES.get(kind) if isinstance(kind, str) else None
        if take is not None:
            yield from take(self, now_s)
        else:
            problem = f"the message is none of {', '.join(_MESSAGES)}"
            # The journal has the message, so without a record another process would answer again.
            self._marks.own += 1
            yield engine.SendToClient(results.error("UNPARSABLE_CLIENT_MESSAGE", problem))

    def _keep_alive(self, now_s: float) -> Iterator[engine.Command]:
        return self._pass_on(_KEEP_ALIVE, now_s)

    def _finalize(self, now_s: float) -> Iterator[engine.Command]:
        # Silence ends the user's turn here, because a commit would request an answer.
        return self._pass_on(self._silence, now_s)

    def _close_stream(self, now_s: float) -> Iterator[engine.Command]:
        self._is_closing = True
        yield from self._finalize(now_s)
        if self._heard_bytes:
            is_certain = self._is_ready and not self._is_open
            yield engine.StartTimer(CLOSE_TIMER, SETTLE_S if is_certain else CLOSE_WAIT_S)
        else:
            yield from self._close(now_s)

    def _close(self, now_s: float) -> Iterator[engine.Command]:
        yield engine.SendToClient(results.metadata(self._request_id, self._heard_bytes / self._bytes_per_s))
        yield from self._pass_on(_GONE, now_s)

    # From the session.

    def _pass_on(self, message: engine.Input, now_s: float) -> Iterator[engine.Command]:
        for command in self._machine.handle(message, now_s):
            if isinstance(command, engine.SendToClient):
                yield from self._translate(command.frame, now_s)
            else:
                yield command

    def _translate(self, frame: str | bytes, now_s: float) -> Iterable[engine.Command]:
        fields = orjson.loads(frame) if isinstance(frame, str) else {}
        translate = _TRANSLATIONS.get(fields.get("type", ""))
        return () if translate is None else translate(self, fields, now_s)

    def _ready(self, _fields: Any, _now_s: float) -> Iterator[engine.Command]:
        self._is_ready = True
        yield from ()

    def _start(self, _fields: Any, _now_s: float) -> Iterator[engine.Command]:
        self._is_open = True
        if self._is_closing:
            yield engine.StartTimer(CLOSE_TIMER, CLOSE_WAIT_S)
        self._start_s = self._heard_bytes / self._bytes_per_s
        if is_on(self._query, "vad_events"):
            yield engine.SendToClient(results.speech_started(self._start_s))

    def _words(self, fields: Any, now_s: float) -> Iterator[engine.Command]:
        is_final = fields["is_final"]
        if is_final or is_on(self._query, "interim_results"):
            words = Words(
                text=fields["transcript"],
                confidence=fields["channel"]["alternatives"][0]["confidence"],
                is_final=is_final,
                start_s=self._start_s,
                duration_s=max(0.0, self._heard_bytes / self._bytes_per_s - self._start_s),
            )
            yield engine.SendToClient(results.results(words, self._request_id, self._model))
        if is_final:
            self._is_open = False
            if self._is_closing:
                yield engine.CancelTimer(CLOSE_TIMER)
                yield from self._close(now_s)

    def _end(self, fields: Any, _now_s: float) -> Iterator[engine.Command]:
        if "utterance_end_ms" in self._query:
            yield engine.SendToClient(results.utterance_end(fields["last_word_end"]))

    def _fail(self, fields: Any, _now_s: float) -> Iterator[engine.Command]:
        yield engine.SendToClient(results.error(fields["code"], fields["description"]))

    def _warn(self, fields: Any, now_s: float) -> Iterator[engine.Command]:
        if fields["code"] == BLOCKED and self._is_open:
            # The guard withholds the final words, and the client would wait for them.
            yield from self._words(_NO_WORDS, now_s)
        # The session's other warnings are about Settings, which the client of a transcription does not send.
        if fields["code"] in BY_CODE:
            yield engine.SendToClient(results.warning(fields["code"], fields["description"]))


_NO_WORDS: Final = {"transcript": "", "channel": {"alternatives": [{"confidence": 0.0}]}, "is_final": True}

_MESSAGES: Final[dict[str, Callable[[Transcriber, float], Iterator[engine.Command]]]] = {
    "KeepAlive": Transcriber._keep_alive,  # noqa: SLF001 - the tables of this class
    "Finalize": Transcriber._finalize,  # noqa: SLF001
    "CloseStream": Transcriber._close_stream,  # noqa: SLF001
}
"""The messages that a client may send, and the handler of each."""

_TRANSLATIONS: Final[dict[str, Callable[[Transcriber, Any, float], Iterable[engine.Command]]]] = {
    "SettingsApplied": Transcriber._ready,  # noqa: SLF001
    "UserStartedSpeaking": Transcriber._start,  # noqa: SLF001
    "Transcript": Transcriber._words,  # noqa: SLF001
    "UtteranceEnd": Transcriber._end,  # noqa: SLF001
    "Error": Transcriber._fail,  # noqa: SLF001
    "Warning": Transcriber._warn,  # noqa: SLF001
}
"""The session's messages that a client of Listen gets in another form, and those that change the state here."""
