"""A transcription by Deepgram: frames pass in both directions, and the relay replaces a lost upstream.

Listen has no conversation. So another upstream needs only the audio for which Deepgram has sent no final words, and the
client's texts among that audio, such as `Finalize`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from actors import messages as engine
from actors.connections.close_codes import CloseCode
from actors.restart import Decision
from router import closes
from router.fronts.call_limits import CallLimits, Wire
from router.fronts.deepgram_agent.fields import read, text_of, write
from router.fronts.deepgram_agent.waiting import AUDIO_DROPPED, Waiting
from router.fronts.listen import results
from router.fronts.listen.parameters import permitted_text
from router.fronts.relay_marks import RelayMarks
from router.policy.rules import CODE, Denied
from router.session.deadlines import ADOPTION_S
from router.session.handlers.ending import error_of_loss

if TYPE_CHECKING:
    from router.session.machine import Session
    from router.session.options import SessionOptions
    from router.session.state.limited import Limit

Commands = Iterator[engine.Command]

DRAIN_TIMER: Final = "listen.drain"
ADOPTION_TIMER: Final = "listen.adoption"
"""The wait until this process has shown that the session does not kill it."""

CLOSE_TIMER: Final = "listen.close"
"""The wait from the client's `CloseStream` to the upstream's close. Each `Results` starts the wait again."""

CLOSE_WAIT_S: Final = 10.0
"""The longest wait for the upstream's close. Deepgram needs less time even for a minute of audio that came at once."""

CLOSE_STREAM: Final = "CloseStream"
"""The client's message after its last audio. Deepgram then sends the last words, and closes."""

CLOSED: Final = frozenset({CloseCode.NORMAL_CLOSURE, CloseCode.NO_STATUS_RCVD})
"""The codes with which Deepgram closes after `CloseStream`: 1000, or none."""

UNHEARD_DROPPED: Final = "audio without words is dropped: if this upstream is lost, the next one does not get it"
"""The log line about the first audio of a session that was sent, and is kept no longer."""


class ListenRelay:
    """The machine of one relayed transcription."""

    def __init__(self, options: SessionOptions, session: Session | None = None) -> None:
        self._session = session
        """The session that the relay replaces, and that counts the adoptions."""
        self.marks = RelayMarks(bool)  # audio without final words must not be lost
        """The object whose attributes show when the memory has to be stored."""
        self._redact = options.redact
        self._policy = options.policy
        self._now_s = 0.0
        self._limits = CallLimits(options, Wire(lambda: self._has_open_words, self._warn_of_limit, self._end_at_limit))
        self._waiting = Waiting(options.bounds.early_messages, options.bounds.early_bytes)
        self._unheard = Waiting(options.bounds.early_messages, options.bounds.early_bytes)
        """The newest audio for which Deepgram has sent no final words, and the client's texts among it."""
        self._generation = 0
        self._is_ready = False
        self._is_closing = False
        self._has_open_words = False
        """Whether the client has got words of the present speech that are not final."""
        self._has_ended = False
        self._ending: tuple[int, str] | None = None
        """The close code and the reason of a session that has ended."""

    # The interface of a machine.

    def handle(self, message: engine.Input, now_s: float) -> list[engine.Command]:
        """Take an input, and return the commands that follow."""
        self._now_s = now_s
        generation = getattr(message, "generation", self._generation)
        take = _TAKES.get(type(message))
        is_over = self._has_ended and type(message) is not engine.ClientAdopted
        if is_over or take is None or generation != self._generation:
            return []
        commands = list(take(self, message))
        if not self._has_ended:
            commands += self._limits.settle(now_s)
        return commands

    def held_bytes(self) -> int:
        """Return the bytes that are kept for an upstream."""
        return self._waiting.size_bytes + self._unheard.size_bytes

    def describe(self) -> engine.Facts:
        """Return a few facts about the session."""
        dropped_bytes = self._waiting.dropped_bytes
        unheard_bytes = self._unheard.dropped_bytes
        lifecycle = "ended" if self._has_ended else "ready" if self._is_ready else "dialling"
        return {
            "profile": "listen",
            "lifecycle": lifecycle,
            "generation": self._generation,
            "dropped_bytes": dropped_bytes,
            "unheard_dropped_bytes": unheard_bytes,
        }

    # Another process.

    @property
    def can_move(self) -> bool:
        """Whether a move at this moment interrupts no words, no dial and no `CloseStream`."""
        is_open = self._is_closing or self._has_open_words or self._waiting.size_bytes > 0
        return self._is_ready and not (is_open or self._has_ended)

    def _adopt(self, _adopted: engine.ClientAdopted) -> Commands:
        """Continue with another upstream. The upstream of the other process is lost."""
        if self._ending is not None:
            yield engine.EndSession(*self._ending)
            return
        yield from self._limits.adopt(self._now_s)
        if self._session is not None and self._session.state.adoptions:
            yield engine.StartTimer(ADOPTION_TIMER, ADOPTION_S)
        yield from self._dial()

    def _acquit(self) -> None:
        """Set the count of adoptions to 0, because this process still lives."""
        if self._session is not None and self._session.state.adoptions:
            self._session.state.adoptions = 0
            self.marks.record_due += 1

    def _answer(self, code: str, problem: str) -> engine.Command:
        # The journal has the message, so without a record another process would answer again.
        return self._tell(results.error(code, problem))

    def _tell(self, frame: str) -> engine.Command:
        self.marks.record_due += 1
        return engine.SendToClient(frame)

    # From the client.

    def _open(self, _opened: engine.ClientOpened) -> Commands:
        yield from self._limits.begin(self._now_s)
        yield from self._dial()

    def _dial(self, delay_s: float = 0.0) -> Commands:
        self._generation += 1
        self._is_ready = self._has_open_words = False
        yield engine.OpenUpstream(self._generation, "deepgram", delay_s)

    def _client_text(self, received: engine.ClientTextReceived) -> Commands:
        fields = read(received.text)
        if isinstance(fields, str):
            yield self._answer("UNPARSABLE_CLIENT_MESSAGE", fields)
            return
        judged = received.text if self._policy is None else permitted_text(self._policy, fields, received.text)
        if isinstance(judged, Denied):
            yield self._answer(CODE, judged.sentence)
            return
        if text_of(fields, "type") == CLOSE_STREAM:
            # If there is no upstream, the next one gets `CloseStream` after the audio that waits.
            self._is_closing = True
            if self._is_ready:
                yield from self._close_stream()
        elif self._is_ready:
            if text_of(fields, "type") != "KeepAlive":
                self._unheard.keep_text(judged)
            yield self._to_upstream(judged)
        elif text_of(fields, "type") != "KeepAlive" and not self._waiting.keep_text(judged):
            problem = "the message is dropped: too many messages wait for the upstream"
            yield self._answer("TOO_MANY_EARLY_MESSAGES", problem)

    def _client_binary(self, received: engine.ClientBinaryReceived) -> Commands:
        if self._is_ready:
            if received.data:
                yield from self._keep_unheard(received.data)
            yield self._to_upstream(received.data)
        elif received.data and self._waiting.keep_audio(received.data):
            yield engine.Log(logging.WARNING, AUDIO_DROPPED)

    def _keep_unheard(self, audio: bytes) -> Commands:
        if self._unheard.keep_audio(audio):
            yield engine.Log(logging.WARNING, UNHEARD_DROPPED)

    def _client_closed(self, _closed: engine.ClientClosed) -> Commands:
        yield from self._end(closes.HUNG_UP)

    def _overflowed(self, _overflowed: engine.ClientOverflowed) -> Commands:
        yield from self._end(closes.of_error("CLIENT_TOO_SLOW"))

    # From the upstream.

    def _opened(self, _opened: engine.UpstreamOpened) -> Commands:
        self._is_ready = True
        for frame in (*self._unheard.take(), *self._waiting.take()):
            # This upstream may be lost, too.
            if isinstance(frame, bytes):
                yield from self._keep_unheard(frame)
            else:
                self._unheard.keep_text(frame)
            yield self._to_upstream(frame)
        if self._is_closing:
            yield from self._close_stream()

    def _close_stream(self) -> Commands:
        yield self._to_upstream(write({"type": CLOSE_STREAM}))
        yield engine.StartTimer(CLOSE_TIMER, CLOSE_WAIT_S)

    def _upstream_text(self, received: engine.UpstreamTextReceived) -> Commands:
        fields = read(received.text)
        is_content = isinstance(fields, dict) and fields.get("type") == "Results"
        if isinstance(fields, dict) and is_content:
            if _has_words(fields):
                self._limits.mark_active(self._now_s)
            if self._is_closing:
                yield engine.StartTimer(CLOSE_TIMER, CLOSE_WAIT_S)
            is_final = fields.get("is_final") is True
            self._has_open_words = not is_final and (self._has_open_words or _has_words(fields))
            if is_final:
                self._unheard.take()
                # Words that are not final need no record, because the client replaces them by the next ones.
                self.marks.record_due += 1
                self._acquit()
                yield engine.ResetRestartBudget()
        # A service may repeat the router's credential in its own texts.
        yield engine.SendToClient(received.text if is_content else self._redact(received.text))

    def _lost(self, lost: engine.UpstreamLost) -> Commands:
        yield engine.CancelTimer(CLOSE_TIMER)
        if self._is_closing and lost.loss.code in CLOSED:
            yield from self._end(closes.STREAM_ENDED)
        elif lost.verdict.decision is Decision.TEAR_DOWN:
            last = error_of_loss(lost.loss, self._redact)
            yield engine.SendToClient(results.error(last.error.code, last.error.description))
            yield from self._end(closes.of_error(last.error.code)._replace(reason=last.close_reason))
        else:
            yield from self._dial(lost.verdict.delay_s)

    # The end.

    def _fired(self, fired: engine.TimerFired) -> Commands:
        if self._limits.is_own(fired):
            yield from self._limits.fire(fired, self._now_s)
        elif fired.name == ADOPTION_TIMER:
            self._acquit()
        elif fired.name == CLOSE_TIMER:
            yield engine.Log(logging.WARNING, "the upstream did not close behind the last words")
            yield from self._end(closes.STREAM_ENDED)
        else:
            yield from self._end(closes.DRAINED)

    def _drain(self, drain: engine.DrainBegan) -> Commands:
        # There is no turn to finish, and words that are on their way come within a second.
        if not drain.keeps_idle:
            yield engine.StartTimer(DRAIN_TIMER, min(drain.deadline_s, 1.0))

    def _end_requested(self, _requested: engine.EndRequested) -> Commands:
        yield from self._end(closes.of_error("SESSION_ENDED"))

    def _warn_of_limit(self, limit: Limit) -> Commands:
        yield self._tell(results.warning(limit.code, limit.warning))

    def _end_at_limit(self, limit: Limit) -> Commands:
        yield self._tell(results.error(limit.code, limit.error))
        yield from self._end(closes.of_error(limit.code))

    def _end(self, close: closes.Close) -> Commands:
        self._has_ended = True
        self._ending = int(close.code), close.reason
        self.marks.record_due += 1
        yield engine.EndSession(*self._ending)

    def _to_upstream(self, frame: str | bytes) -> engine.Command:
        return engine.SendToUpstream(frame, self._generation, is_binary=isinstance(frame, bytes))


def _has_words(fields: dict[str, Any]) -> bool:
    channel = fields.get("channel")
    alternatives = channel.get("alternatives") if isinstance(channel, dict) else None
    first = alternatives[0] if isinstance(alternatives, list) and alternatives else None
    return isinstance(first, dict) and bool(first.get("transcript"))


_TAKES: Final[dict[type, Callable[[Any, Any], Commands]]] = {
    engine.ClientOpened: ListenRelay._open,  # noqa: SLF001 - the table of this class
    engine.ClientAdopted: ListenRelay._adopt,  # noqa: SLF001
    engine.ClientTextReceived: ListenRelay._client_text,  # noqa: SLF001
    engine.ClientBinaryReceived: ListenRelay._client_binary,  # noqa: SLF001
    engine.ClientOverflowed: ListenRelay._overflowed,  # noqa: SLF001
    engine.ClientClosed: ListenRelay._client_closed,  # noqa: SLF001
    engine.UpstreamOpened: ListenRelay._opened,  # noqa: SLF001
    engine.UpstreamTextReceived: ListenRelay._upstream_text,  # noqa: SLF001
    engine.UpstreamLost: ListenRelay._lost,  # noqa: SLF001
    engine.TimerFired: ListenRelay._fired,  # noqa: SLF001
    engine.DrainBegan: ListenRelay._drain,  # noqa: SLF001
    engine.EndRequested: ListenRelay._end_requested,  # noqa: SLF001
}
"""The inputs that the relay takes, and the handler of each. Other inputs change nothing."""
