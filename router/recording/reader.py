"""The reader of a recording: its header and its steps, and a sentence for a file that is torn or no recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.errors import RouterError
from router.recording import header, notation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from actors import messages
    from router.recording.header import Header
    from router.recording.sums import Sums

MAX_LINE_BYTES: Final = 256 * 1024 * 1024


class RecordingError(RouterError):
    """A file is no recording, or an incomplete one."""

    def __init__(self, path: str, problem: str, line: int | None = None) -> None:
        super().__init__(path, problem, line)
        self.path = path
        self.problem = problem
        self.line = line
        """The number of the line, from 1."""

    def __str__(self) -> str:
        where = f"{self.path}, line {self.line}" if self.line is not None else self.path
        return f"{where}: {self.problem}"


def _read_sums(noted: Any) -> list[Sums]:
    # Earlier versions noted no turns.
    found = msgspec.convert(noted, list[tuple[int | float, ...]])
    return [(int(tokens), cost_usd, int(turns)) for tokens, cost_usd, turns, *_ in ((*it, 0, 0, 0) for it in found)]


class RecordedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a recording: an input, and the commands or the exception that followed."""

    line: int
    now_s: float
    message: messages.Input
    outcome: dict[str, Any]
    """A dict with the commands as `out`, or with the class of an exception as `raised`."""
    today: list[Sums] = []
    """The client's sums of the day that the session got from `spend_today` in this step."""
    is_late: bool = False
    live: list[str] | None = None
    """The types of the real session's commands, if they differ from the recorded ones; else None."""


class Recording:
    """A recording, read line by line.

    Args:
        path: the path of the file, for errors.
        lines: the file, opened for reading bytes.

    Raises:
        RecordingError: the file is no recording.
    """

    def __init__(self, path: str, lines: BinaryIO) -> None:
        self._path = path
        self._lines = lines
        self.header: Header = self._read_header()

    def _read_header(self) -> Header:
        first = self._lines.readline(MAX_LINE_BYTES)
        if not first:
            raise RecordingError(self._path, "it is empty")
        try:
            return header.read(first)
        except notation.NotationError as error:
            raise RecordingError(self._path, str(error)) from None

    def steps(self) -> Iterator[RecordedStep]:
        """Yield the steps in order.

        Raises:
            RecordingError: the recording is torn. The error follows the last whole step.
        """
        number = 1
        while line := self._lines.readline(MAX_LINE_BYTES):
            number += 1
            fields = self._fields(number, line)
            if "end" in fields:
                self._expect_end(number)
                return
            if "torn" in fields:
                raise self._torn(number, f"{fields['torn']}")
            yield self._step(number, fields)
        raise self._torn(number, "the session goes on, or its process died")

    def _fields(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            fields = orjson.loads(line) if line.endswith(b"\n") else None
        except orjson.JSONDecodeError:
            fields = None
        if fields is None:
            raise self._torn(number, "the line is not whole")
        if not isinstance(fields, dict):
            raise self._torn(number, "the line is no step")
        return fields

    def _step(self, number: int, fields: dict[str, Any]) -> RecordedStep:
        now_s, live = fields.get("s"), fields.get("live")
        outcome: dict[str, Any] = {name: fields[name] for name in ("out", "raised") if name in fields}
        if not isinstance(now_s, float | int) or len(outcome) != 1:
            raise self._torn(number, "the line is no step")
        try:
            message = notation.read_input(fields)
            today = _read_sums(fields.get("today", []))
        except (notation.NotationError, msgspec.ValidationError) as error:
            raise self._torn(number, str(error)) from None
        is_late = fields.get("late") is True
        live = [str(kind) for kind in live] if isinstance(live, list) else None
        return RecordedStep(
            line=number,
            now_s=now_s,
            message=message,
            outcome=outcome,
            today=today,
            is_late=is_late,
            live=live,
        )

    def _expect_end(self, number: int) -> None:
        if self._lines.read(1):
            raise self._torn(number + 1, "something follows the end")

    def _torn(self, number: int, problem: str) -> RecordingError:
        return RecordingError(self._path, f"the recording is torn: {problem}", number)
