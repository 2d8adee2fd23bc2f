"""What is printed for a person, who may have gone."""

from __future__ import annotations

import os
import sys
from typing import Final

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def ensure_streams() -> None:
    """Where the shell closed one (`>&-`), give the process an empty one: the next file would have its number."""
    for name, mode in _STREAMS:
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good


def say(text: str) -> None:
    """Print; a reader that has seen enough (`| head`) is no failure."""
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        # What is left in the buffer would be tried again when the process ends.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
