"""Usage, turns and latencies of a relayed session, for its observer and the embedding application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from router.openai import codec
from router.session.reports import (
    AudioCarried,
    FunctionAnswered,
    Said,
    Stopwatch,
    Turn,
    TurnBegan,
    TurnEnded,
    TurnLatency,
    TurnLog,
)
from router.session.state.meter import UsageMeter

if TYPE_CHECKING:
    from actors import messages as engine
    from router.fronts.realtime.responses import Response
    from router.session.options import SessionOptions
    from router.session.reports import Usage

Role = Literal["user", "assistant"]


class Reports:
    """The reported facts of one session."""

    def __init__(self, options: SessionOptions, model: str, meter: UsageMeter | None) -> None:
        self._meter = meter if meter is not None else UsageMeter(options)
        self._received_s = self._sent_s = 0.0
        """Seconds of audio from and to the client since the last report of audio."""
        self.model = model
        self._stopwatch = Stopwatch()
        self._turn_log = TurnLog()
        self._asked_s: float | None = None
        self._first_s: dict[str, float] = {}

    def opened(self, opened: engine.UpstreamOpened) -> None:
        """Record that another upstream is in use, because the price of usage depends on its model."""
        self._meter.read(opened, opened.generation, self.model)

    def usage(self, text: str, generation: int) -> Usage | codec.Unknown | codec.Malformed | None:
        """Return the usage that an event of the upstream of this generation reports, or None.

        If the codec cannot read the event, return the codec's result, which names the problem. The usage of such an
        event is not counted. The relay reads only events within the bounds of `router.json_bounds`.
        """
        read: Any = codec.decode(text, is_counted=True)
        if isinstance(read, (codec.Unknown, codec.Malformed)):
            return read
        return self._meter.read(getattr(read, "event", read), generation, self.model)

    # Audio.

    def received(self, duration_s: float) -> None:
        """Count audio of the client's microphone for the next report."""
        self._received_s += duration_s

    def sent(self, duration_s: float) -> None:
        """Count audio that the client gets for the next report."""
        self._sent_s += duration_s

    def audio(self) -> AudioCarried | None:
        """Return the seconds of audio since the last report, and count from zero; None if there was no audio."""
        received_s, sent_s = self._received_s, self._sent_s
        self._received_s = self._sent_s = 0.0
        return AudioCarried(received_s=received_s, sent_s=sent_s) if received_s or sent_s else None

    # Turns.

    def said(self, role: Role, content: str) -> None:
        """Add a text of the user or the agent to the turn in progress."""
        if content:
            self._turn_log.say(Said(role, content))

    def asked(self, now_s: float) -> TurnBegan:
        """Record the end of the user's turn, and return its notification."""
        self._asked_s = now_s
        self._first_s.clear()
        return TurnBegan(0.0)

    def heard(self, kind: Literal["audio", "text"], now_s: float) -> None:
        """Record that the client got output of the agent's. The first output of each kind sets the turn's latency."""
        self._first_s.setdefault(kind, now_s)

    def called(self, call_id: str, name: str, now_s: float) -> None:
        """Record a function call in the turn in progress, and start the measurement of its time."""
        self._turn_log.call(name)
        self._stopwatch.request(call_id, now_s, name)

    def answered(self, call_id: str, now_s: float) -> FunctionAnswered | None:
        """Return the report of a function's output, with the time that the function took; None for an unknown call."""
        return self._stopwatch.answer(call_id, now_s)

    def cut(self, response: Response) -> None:
        """Add the texts of a response to the turn in progress, whether or not the response ends that turn."""
        for output in response.outputs.values():
            self.said("assistant", output.text)

    def ended(self, response: Response) -> list[Any]:
        """Return the notifications of a turn that ends with this response. An element may be None.

        Return an empty list if the response calls a function or is outside the conversation, and so ends no turn.
        """
        self.cut(response)
        if response.calls_functions or response.is_outside:
            return []
        facts: list[Any] = [self.turn(), TurnEnded()]
        if self._asked_s is not None and self._first_s:
            facts.append(
                TurnLatency(first_audio_s=self._after("audio"), first_text_s=self._after("text")),
            )
        self._asked_s = None
        return facts

    def turn(self, *, is_whole: bool = True) -> Turn | None:
        """Return the texts and function calls so far as a turn, and forget them; None if there are none.

        `is_whole` is False if the session ends in the middle of the turn.
        """
        return self._turn_log.take(is_whole=is_whole)

    def _after(self, kind: str) -> float | None:
        first_s = self._first_s.get(kind)
        return None if first_s is None or self._asked_s is None else first_s - self._asked_s
