"""`switchboard serve`: a router and its web server, until a signal ends them."""

from __future__ import annotations

import datetime as dt
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from router.access.authentication import Authentication
from router.command.streams import say
from router.config import model_ends
from router.config.command_line import describe, flags_help, parse_command_line
from router.core import Router
from router.errors import StartError
from router.fronts import agents
from router.logs import setup
from router.recording.folder import Folder
from router.web.server import serve
from router.web.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.config.model import RouterConfig


def main(arguments: Sequence[str]) -> int:
    """Validate the configuration, then print it or serve. Return the exit status.

    Raises:
        ConfigError: a flag or a setting is invalid.
        StartError: the server cannot start.
    """
    if {"-h", "--help"} & set(arguments):
        say(flags_help())
        return 0
    command_line = parse_command_line(arguments, os.environ, read_text)
    config = command_line.config
    agents.checked(config.agents)
    Authentication(config, None)  # an unusable key must fail the start, and not the first call
    Tls.of(config)
    setup.configure(config.log_level, config.log_format, config.secrets)
    for warning in (*command_line.warnings, *model_ends.warnings(config, dt.datetime.now(dt.UTC).date())):
        logging.getLogger("router").warning("%s", warning)
    if command_line.check:
        say(describe(command_line))
        return 0
    _check_recordings(config)
    serve(config, Router.standalone, say, take_over=command_line.take_over)
    return 0


def _check_recordings(config: RouterConfig) -> None:
    if config.record is not None:
        try:
            Folder(config.record, config.record_max_bytes).check()
        except OSError as error:
            raise StartError(f"cannot write recordings into {config.record}: {error.strerror}") from error


def read_text(path: str) -> str:
    """Return the text of a file of settings."""
    return Path(path).read_text(encoding="utf-8-sig")
