"""`switchboard reload`: a running server takes the present code and configuration into use."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from router.command.admin import server
from router.command.admin.main import ADDRESS, URL
from router.command.streams import say
from router.config.provenance import FLAGS
from router.errors import ConfigError, VerbError

if TYPE_CHECKING:
    from collections.abc import Sequence

PATH: Final = "/admin/reload"

PATIENCE_S: Final = 90.0
"""The longest wait in seconds for the reload. The new code may take 30 s to start, and 30 s until its workers serve."""

LOOK_S: Final = 0.25


def main(arguments: Sequence[str]) -> int:
    """Reload a server, and wait until its new workers serve; return the exit status.

    Raises:
        ConfigError: an argument is wrong.
        VerbError: the server refuses, does not answer, or keeps its old workers.
    """
    given = _parser().parse_args(list(arguments))
    url = given.url or os.environ.get("SWITCHBOARD_URL") or URL
    token = given.token or os.environ.get("SWITCHBOARD_TOKEN")
    number = server.request(url, "POST", PATH, token)["reload"]
    state = _wait(url, token, number)
    if state["problem"]:
        raise VerbError(f"the server keeps its present workers: {state['problem']}")
    say("the new workers serve; the old ones drain")
    return 0


def _wait(url: str, token: str | None, number: int) -> Any:
    until_s = time.monotonic() + PATIENCE_S
    while True:
        state = server.request(url, "GET", PATH, token)
        if state["finished"] >= number:
            return state
        if time.monotonic() > until_s:
            raise VerbError(f"the reload is not over after {PATIENCE_S:g} s: see the server's log")
        time.sleep(LOOK_S)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="switchboard reload",
        usage="switchboard reload [--url URL] [--token TOKEN]",
        description="Start workers with the code on the disk and the configuration of now, and drain the old ones.\n"
        "Where the new version does not start, the old workers go on, and the exit status is 1.",
        epilog=ADDRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--url", metavar="URL", help="the address of the server")
    parser.add_argument("--token", metavar="TOKEN", help="the token of an administrator")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(source=FLAGS, name="arguments", problem=f"cannot be read: {message}; see --help")
