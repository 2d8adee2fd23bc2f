"""The standard streams of the command, which may be closed or lose their reader."""

from __future__ import annotations

import io
import os
import sys
from typing import Final

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def ensure_streams() -> None:
    """Replace each standard stream that the shell closed (`>&-`) by an empty one, and escape unprintable characters.

    Otherwise the next file that the process opens would get the number of the closed stream, and output would go into
    that file.
    """
    for name, mode in _STREAMS:
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - never closed
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):  # a model's words may not fit an ASCII terminal
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a text. If the reader has closed the pipe (`| head`), drop the rest of the output without a failure."""
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        # The interpreter flushes the rest of the buffer at its exit, and would fail again. So let the rest go to
        # /dev/null.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
