"""The command: `python run.py` serves the router; `--help` lists its flags."""

from __future__ import annotations

import os
import signal
import sys

# Ctrl-C ends the process at once until there is a session to drain. Python's own handler raises an exception, which is
# lost in a callback of the interpreter during an import. An ignored SIGINT (`nohup`) stays ignored.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import logging
from pathlib import Path

# The resampling filters are small: threads of OpenBLAS cost more than they save, and they do not survive a fork.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from router.config.command_line import describe, parse_command_line
from router.console import ensure_streams, say
from router.core import Router
from router.errors import ConfigError, StartError
from router.logs import setup
from router.web.server import serve

USAGE_ERROR = 2


def main() -> int:
    """Parse, then check or serve; return the exit code."""
    ensure_streams()
    try:
        command_line = parse_command_line(sys.argv[1:], os.environ, _read_text)
    except ConfigError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return USAGE_ERROR
    config = command_line.config
    setup.configure(config.log_level, config.log_format, config.secrets)
    for warning in command_line.warnings:
        logging.getLogger("router").warning("%s", warning)
    if command_line.check:
        say(describe(command_line))
        return 0
    try:
        serve(config, Router.standalone)
    except StartError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    return 0


def _read_text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8-sig")


if __name__ == "__main__":
    sys.exit(main())
