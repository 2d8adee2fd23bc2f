"""The moments of the agent's turn, for LatencyReport and AgentStartedSpeaking."""

from __future__ import annotations

from typing import Final, Literal

from router.deepgram import messages as deepgram

Moment = Literal["asked_s", "transcribed_s", "token_s", "text_s", "call_s", "audio_s"]

_MICROSECOND: Final = 6
"""The number of decimals of a latency in seconds. The clock's noise is larger than the next digit."""


class TurnLatency:
    """The moments of one turn, on the dispatcher's clock. Each moment is the first of its kind, or None.

    A turn begins when the user finishes: at the end of speech, at a commit or at a typed message. A turn that the agent
    begins starts with its response.
    """

    __slots__ = ("asked_s", "audio_s", "call_s", "text_s", "token_s", "transcribed_s")

    def __init__(self) -> None:
        self.asked_s: float | None = None
        self.transcribed_s: float | None = None
        """The arrival of the transcript of the user's speech."""
        self.token_s: float | None = None
        self.text_s: float | None = None
        """The time at which a sentence was complete, or the whole text of an item."""
        self.call_s: float | None = None
        """The time at which the model called a function."""
        self.audio_s: float | None = None

    def mark(self, moment: Moment, now_s: float) -> bool:
        """Record a moment. Return whether it is the first of its kind."""
        is_first = getattr(self, moment) is None
        if is_first:
            setattr(self, moment, now_s)
        return is_first

    def started_speaking(self) -> deepgram.AgentStartedSpeaking:
        """Return the announcement of the agent's first audio.

        All three latencies are mandatory in this message (client 4.4), so an unknown latency is 0.
        """
        report = self.report()
        return deepgram.AgentStartedSpeaking(
            total_latency=report.total_latency or 0.0,
            ttt_latency=report.ttt_token_latency or 0.0,
            tts_latency=report.tts_latency or 0.0,
        )

    def report(self) -> deepgram.LatencyReport:
        """Return the latencies in seconds from the end of the user's turn.

        `tts_latency` counts from the model's first token.
        """
        return deepgram.LatencyReport(
            stt_latency=_between(self.asked_s, self.transcribed_s),
            ttt_token_latency=_between(self.asked_s, self.token_s),
            ttt_text_latency=_between(self.asked_s, self.text_s),
            ttt_tool_latency=_between(self.asked_s, self.call_s),
            tts_latency=_between(self.token_s, self.audio_s),
            total_latency=_between(self.asked_s, self.audio_s),
        )


def _between(start_s: float | None, end_s: float | None) -> float | None:
    if start_s is None or end_s is None:
        return None
    # A late transcript of the previous turn may be marked before this turn's question: no latency is negative.
    return max(0.0, round(end_s - start_s, _MICROSECOND))
