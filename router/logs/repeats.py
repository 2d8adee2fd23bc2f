"""Failures of one kind. The first lines of a minute are written, and then one line that counts the rest.

If a thousand calls fail alike, a thousand lines would hide every other failure.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ALIKE: Final = 20
"""The most lines of one kind that are written in a minute."""

WINDOW_S: Final = 60.0

MAX_KINDS: Final = 500
"""The most kinds that are counted at a time. Every line of a further kind is written."""

_KIND_CHARS: Final = 300
_VARIABLE: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{8,}|\d+")
"""Ids and numbers, which may differ between two failures of one kind."""


class _Kind:
    __slots__ = ("began_s", "last", "seen")

    def __init__(self, now_s: float, record: logging.LogRecord) -> None:
        self.began_s = now_s
        self.seen = 0
        self.last = record


class Repeats:
    """The kinds of warnings and errors of the last minute. Methods may be called from any thread.

    Beyond `MAX_ALIKE` the summary of a session (`SUMMARY`) is not left out, but gets the level `info`.
    """

    def __init__(self, emit: Callable[[logging.LogRecord], object]) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, int, str], _Kind] = {}
        self._timer: threading.Timer | None = None

    def take(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """Return the line to write now, perhaps with another level. Return None if the line is only counted."""
        if record.levelno < logging.WARNING or hasattr(record, SUMMED):
            return record
        key = _key(record)
        now_s = time.monotonic()
        with self._lock:
            kind = self._kinds.get(key)
            if kind is None:
                if len(self._kinds) >= MAX_KINDS:
                    self._kinds = {key: it for key, it in self._kinds.items() if now_s - it.began_s < WINDOW_S}
                    if len(self._kinds) >= MAX_KINDS:
                        return record
                kind = self._kinds[key] = _Kind(now_s, record)
            elif now_s - kind.began_s >= WINDOW_S and kind.seen <= MAX_ALIKE:
                kind.began_s, kind.seen = now_s, 0
            kind.seen += 1
            kind.last = record
            if kind.seen <= MAX_ALIKE:
                return record
            self._start_timer()
        return _demoted(record) if hasattr(record, SUMMARY) else None

    def flush(self) -> None:
        """Write the line that counts the omitted lines, for each kind. Then forget all kinds."""
        with self._lock:
            kinds, self._kinds = self._kinds, {}
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for kind in kinds.values():
            if kind.seen > MAX_ALIKE:
                self._emit(_sum_of(kind))

    def _start_timer(self) -> None:
        # Without the timer, the count would be written only with the next failure of this kind, which may never come.
        if self._timer is None:
            self._timer = threading.Timer(WINDOW_S, self.flush)
            self._timer.daemon = True
            self._timer.start()


SUMMARY: Final = "duration_s"
"""The attribute of a log record that marks a session's summary."""

SUMMED: Final = "alike"
"""The attribute of a log record that marks a line as the count of other lines."""


def _key(record: logging.LogRecord) -> tuple[str, int, str]:
    return record.name, record.levelno, _VARIABLE.sub("#", record.getMessage()[:_KIND_CHARS])


def _demoted(record: logging.LogRecord) -> logging.LogRecord | None:
    if not logging.getLogger(record.name).isEnabledFor(logging.INFO):
        return None
    copy = logging.makeLogRecord(record.__dict__)
    copy.levelno, copy.levelname = logging.INFO, "INFO"
    return copy


def _sum_of(kind: _Kind) -> logging.LogRecord:
    last, more = kind.last, kind.seen - MAX_ALIKE
    line = f"{more} more lines like this one within {time.monotonic() - kind.began_s:.0f} s: {last.getMessage()}"
    return logging.makeLogRecord(
        {"name": last.name, "levelno": last.levelno, "levelname": last.levelname, "msg": line, SUMMED: more}
    )
