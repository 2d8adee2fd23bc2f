"""The choice of a subcommand, and errors as sentences."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import TYPE_CHECKING, Final

from actors.connections.transfer import TRANSFER
from router.audio.compiled import RESAMPLING
from router.command import overview
from router.command.streams import ensure_streams, say
from router.command.subcommands import SUBCOMMANDS, Subcommand
from router.errors import ConfigError, RouterError
from router.secrets import CREDENTIALS, MASK, Redactor
from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE_ERROR: Final = 2


shown: Final = Redactor((), MASK, CREDENTIALS)
"""The function that masks texts that look like a key. An operator may type a key in place of another value."""


def main(arguments: Sequence[str]) -> int:
    """Run the subcommand that the arguments name, and return the exit status."""
    ensure_streams()
    try:
        return _run(list(arguments))
    except RouterError as error:
        print(f"switchboard: {shown(str(error))}", file=sys.stderr)  # noqa: T201
        return USAGE_ERROR if isinstance(error, ConfigError) else 1


def _run(arguments: list[str]) -> int:
    match arguments:
        case ["--version"]:
            say(f"switchboard {VERSION}\nresampling: {RESAMPLING}\nkeeper: {TRANSFER}")
            return 0
        case ["-h" | "--help"] | ["help"]:
            say(overview.text(SUBCOMMANDS))
            return 0
        case [name, *rest] if not name.startswith("-"):
            return _run_module(_find(name).module, rest)
    return _run_module(SUBCOMMANDS[0].module, arguments)


def _run_module(module: str, arguments: list[str]) -> int:
    status: int = importlib.import_module(module).main(arguments)
    return status


def _find(name: str) -> Subcommand:
    rows = {row.name: row for row in SUBCOMMANDS}
    if name in rows:
        return rows[name]
    close = difflib.get_close_matches(name, rows, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(rows)}"
    raise ConfigError(source="the command line", name=name, problem=f"is not a command; {hint}")
