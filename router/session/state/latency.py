"""When what happened in the agent's turn: what LatencyReport and AgentStartedSpeaking tell."""

from __future__ import annotations

from typing import Final

from router.deepgram import messages as deepgram

_MICROSECOND: Final = 6
"""Digits behind the point: what a clock tells beyond that is noise."""


class TurnLatency:
    """The moments of one turn, on the dispatcher's clock, each the first of its kind; None where it did not happen.

    A turn begins when the user has finished: with the end of speech or a message. One that the agent begins itself
    starts with its response.
    """

    __slots__ = ("asked_s", "audio_s", "heard_s", "text_s", "token_s", "tool_s")

    def __init__(self) -> None:
        self.asked_s: float | None = None
        self.heard_s: float | None = None
        """What the user said was put into words."""
        self.token_s: float | None = None
        self.text_s: float | None = None
        """A sentence, or the whole text of an item."""
        self.tool_s: float | None = None
        self.audio_s: float | None = None

    def mark(self, moment: str, now_s: float) -> bool:
        """Remember a moment; whether it is the first of its kind."""
        is_first = getattr(self, moment) is None
        if is_first:
            setattr(self, moment, now_s)
        return is_first

    def started_speaking(self) -> deepgram.AgentStartedSpeaking:
        """What tells that the agent's first audio follows, with how long that took."""
        report = self.report()
        return deepgram.AgentStartedSpeaking(
            total_latency=report.total_latency or 0.0,
            ttt_latency=report.ttt_token_latency or 0.0,
            tts_latency=report.tts_latency or 0.0,
        )

    def report(self) -> deepgram.LatencyReport:
        """What has been measured, in seconds from the end of the user's turn; `tts_latency` from the first text."""
        return deepgram.LatencyReport(
            stt_latency=_between(self.asked_s, self.heard_s),
            ttt_token_latency=_between(self.asked_s, self.token_s),
            ttt_text_latency=_between(self.asked_s, self.text_s),
            ttt_tool_latency=_between(self.asked_s, self.tool_s),
            tts_latency=_between(self.token_s, self.audio_s),
            total_latency=_between(self.asked_s, self.audio_s),
        )


def _between(start_s: float | None, end_s: float | None) -> float | None:
    if start_s is None or end_s is None:
        return None
    return max(0.0, round(end_s - start_s, _MICROSECOND))
