"""The levels of log lines, and their change while the process runs."""

from __future__ import annotations

import logging
from typing import Final

TRACE: Final = 5
"""The level of protocol messages, below debug."""

LEVELS: Final = ("trace", "debug", "info", "warning", "error")

NOISY: Final = ("pykka", "urllib3", "websocket", "websockets", "asyncio", "gunicorn")
"""Libraries whose debug lines say nothing about sessions."""

CYCLE: Final = ("debug", "trace")
"""The levels that SIGUSR2 sets one after the other, before it sets the configured one again."""

logging.addLevelName(TRACE, "TRACE")


def number(level: str) -> int:
    """Return the number that `logging` uses for a level's name; `trace` is `TRACE`."""
    return logging.getLevelNamesMapping()[level.upper()]


def set_level(level: str) -> None:
    """Write lines of at least `level` from now on.

    Write lines of the libraries in `NOISY` only if they are also at least `info`.
    """
    logging.getLogger().setLevel(number(level))
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.INFO, number(level)))


def level_after(steps: int, configured: str) -> str:
    """Return the level after `steps` signals SIGUSR2. `configured` is the level at the start."""
    return (configured, *CYCLE)[steps % (len(CYCLE) + 1)]
