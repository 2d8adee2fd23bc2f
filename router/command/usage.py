"""`switchboard usage`: the sums of a usage log."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from router.command.streams import say
from router.config.provenance import FLAGS
from router.errors import ConfigError
from router.usage.report import Sums

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Print the sums of the named files by day, principal and model. Report torn lines on stderr.

    Raises:
        ConfigError: an argument is invalid, or a file cannot be read or is no usage log.
    """
    parser = _Parser(
        prog="switchboard usage",
        description="Sum usage logs by day, principal and model. Days are in UTC.",
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file of --usage-log; several are added up")
    parser.add_argument("--json", action="store_true", help="print a list of {day, principal, model, usage, cost_usd}")
    given = parser.parse_args(list(arguments))
    sums = Sums()
    for path in given.files:
        for problem in _add(sums, path):
            print(f"switchboard: {path}: {problem}", file=sys.stderr)  # noqa: T201
    say(sums.as_json() if given.json else sums.as_text())
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(source=FLAGS, name="arguments", problem=f"cannot be read: {message}")


def _add(sums: Sums, path: str) -> list[str]:
    try:
        with Path(path).open("rb") as lines:
            added = sums.add_lines(lines)
    except OSError as error:
        raise ConfigError(source=FLAGS, name=path, problem=f"cannot be read: {error.strerror}") from error
    if added.is_foreign:
        problem = "is no usage log: none of its lines is one that --usage-log writes"
        raise ConfigError(source=FLAGS, name=path, problem=problem)
    return added.problems()
