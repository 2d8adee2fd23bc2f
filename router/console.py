"""The standard streams of the command: they may be closed, and their reader may be gone."""

from __future__ import annotations

import os
import sys
from typing import Final

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def ensure_streams() -> None:
    """Open an empty stream for each one that the shell closed (`>&-`).

    The number of a closed stream is that of the next file that the process opens, and output would go into it.
    """
    for name, mode in _STREAMS:
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - never closed


def say(text: str) -> None:
    """Print a text. A reader that has closed the pipe (`| head`) is no failure."""
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        # The interpreter flushes the rest of the buffer at exit, and would fail again: it goes to /dev/null.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
