"""The lines of a conversation: texts with their speaker, errors, and the time that an answer takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_COLORS: Final = {"you": "1;36", "agent": "1;32", "call": "35", "warning": "33", "error": "1;31", "note": "2"}
"""SGR parameters of the styles. Every terminal understands them, so no library is needed."""

LATENCIES: Final = (
    ("stt_latency", "transcript"),
    ("ttt_text_latency", "first words"),
    ("total_latency", "first sound"),
)
"""Fields of `LatencyReport` (seconds since the question), and their names on the screen."""

CLEAR: Final = "\r\x1b[K"


class Screen:
    """A printer of lines. On a terminal the last line shows the state, and the next line replaces it."""

    def __init__(self, write: Callable[[str], None], *, is_terminal: bool, has_colors: bool) -> None:
        self._write = write
        self._is_terminal = is_terminal
        self._has_colors = has_colors
        self._state = ""

    def say(self, who: str, text: str) -> None:
        """Print a line, after the word that `who` gives: `you`, `agent`, `call`, `warning` or `error`."""
        self._line(f"{self._styled(who, f'{who:>7}')}  {text}")

    def note(self, text: str) -> None:
        """Print a line without a speaker."""
        self._line(self._styled("note", f"         {text}"))

    def times(self, report: Mapping[str, Any], audio_s: float, *, is_cut: bool = False) -> None:
        """Print the latencies of an answer, and the duration of its audio unless it was interrupted (`is_cut`)."""
        parts = [f"{name} {_duration(report[field])}" for field, name in LATENCIES if report.get(field) is not None]
        if is_cut:
            parts.append("interrupted")
        elif audio_s:
            parts.append(f"spoken for {audio_s:.1f} s")
        self.note(" · ".join(parts))

    def state(self, text: str) -> None:
        """Show the state on the last line of a terminal; without a terminal do nothing."""
        if self._is_terminal and text != self._state:
            self._state = text
            self._write(f"{CLEAR}{self._styled('note', f'         {text}')}" if text else CLEAR)

    def _line(self, text: str) -> None:
        self._write(f"{CLEAR if self._state else ''}{text}\n")
        self._state = ""

    def _styled(self, style: str, text: str) -> str:
        return f"\x1b[{_COLORS[style]}m{text}\x1b[0m" if self._has_colors else text


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{round(seconds * 1000)} ms" if seconds >= 0.001 else "under 1 ms"  # noqa: PLR2004 - one millisecond
