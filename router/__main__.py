"""The command: `switchboard`, `python -m router` and `python run.py` are this module.

Any Python from 3.8 on can import this module, without any library. The module prints a sentence if Python is too old or
a library is missing.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path

OLDEST = (3, 11)

LIBRARIES = (
    "dotenv",
    "gunicorn",
    "jwt",
    "msgspec",
    "numpy",
    "orjson",
    "prometheus_client",
    "pybase64",
    "pykka",
    "simple_websocket",
    "structlog",
    "urllib3",
    "websocket",
    "websockets",
    "wsproto",
)
"""The import names of the distributions that setup.cfg requires, each checked before the start."""

HERE = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    # Until there is a session to drain, Ctrl-C ends the process at once. Python's own handler raises an exception,
    # which is lost in a callback of the interpreter during an import. An ignored SIGINT (`nohup`) stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The resampling filters are small. Threads of OpenBLAS cost more than they save, and they do not survive a fork.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    missing = problem()
    if missing:
        print("switchboard: " + missing, file=sys.stderr)  # noqa: T201
        return 1
    from router.command import main as command  # noqa: PLC0415 - an older Python cannot compile it

    return command.main(sys.argv[1:] if arguments is None else arguments)


def problem() -> str | None:
    """Return the sentences about a Python that is too old or lacks libraries, or None."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        wanted = ".".join(map(str, OLDEST))
        return (
            f"this is Python {found} ({sys.executable}), and Switchboard needs {wanted} or newer. "
            f"Make a virtual environment of a newer one: python{wanted} -m venv .venv"
        )
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        source = "." if (HERE / "setup.cfg").exists() else "switchboard-voice"
        folder = f", in the folder {HERE}" if source == "." else ""
        return (
            f"Python at {sys.executable} lacks {', '.join(missing)}. Activate the virtual environment that has them, "
            f"or install them: {sys.executable} -m pip install {source}{folder}"
        )
    return None


if __name__ == "__main__":
    sys.exit(main())
