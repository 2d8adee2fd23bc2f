"""`switchboard admin VERB`: show and change a running server."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import orjson

from router.command.admin import server
from router.command.admin.verbs import VERBS, Verb
from router.command.streams import say
from router.config.provenance import FLAGS
from router.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

URL: Final = "http://127.0.0.1:8080"

ADDRESS: Final = """\
The address is --url, or the variable SWITCHBOARD_URL, or http://127.0.0.1:8080; with --admin-bind it is that address.
The token of an administrator is best in the variable SWITCHBOARD_TOKEN: every process can read command lines.
The exit status is 0, or 1 where the server refuses or does not answer, or 2 for wrong arguments."""


def main(arguments: Sequence[str]) -> int:
    """Perform a verb, and print the answer; return the exit status.

    Raises:
        ConfigError: an argument is wrong.
        VerbError: the server refuses the request, or does not answer.
    """
    given = _parser().parse_args(list(arguments))
    verb, argument = _checked(given.verb, given.argument)
    url = given.url or os.environ.get("SWITCHBOARD_URL") or URL
    token = given.token or os.environ.get("SWITCHBOARD_TOKEN")
    answer = server.request(url, verb.method, verb.path(argument), token)
    for missing in answer.get("missing_workers", ()):
        print(f"switchboard: {missing} gave no answer, and is missing here", file=sys.stderr)  # noqa: T201
    say(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode() if given.json else verb.show(answer))
    return 0


def _checked(name: str, argument: str | None) -> tuple[Verb, str]:
    verb = VERBS.get(name)
    if verb is None:
        close = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the verbs are {', '.join(VERBS)}"
        raise ConfigError(source=FLAGS, name=name, problem=f"is no verb of an operator; {hint}")
    if argument is None and verb.argument and not verb.argument.startswith("["):
        raise ConfigError(
            source=FLAGS, name=name, problem=f"needs an argument: switchboard admin {name} {verb.argument}"
        )
    if argument is not None and not verb.argument:
        raise ConfigError(source=FLAGS, name=name, problem=f"has no argument such as {argument!r}")
    return verb, argument or ""


def _parser() -> argparse.ArgumentParser:
    rows = [(f"{name} {verb.argument}".strip(), verb.summary) for name, verb in VERBS.items()]
    width = max(len(left) for left, _ in rows)
    verbs = "\n".join(f"  {left.ljust(width)}  {right}" for left, right in rows)
    parser = _Parser(
        prog="switchboard admin",
        usage="switchboard admin VERB [ARGUMENT] [--url URL] [--token TOKEN] [--json]",
        description=f"Show and change a running server.\n\nverbs:\n{verbs}",
        epilog=ADDRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("verb", metavar="VERB", help="one of the verbs above")
    parser.add_argument("argument", metavar="ARGUMENT", nargs="?", help="its argument")
    parser.add_argument("--url", metavar="URL", help="the address of the server")
    parser.add_argument("--token", metavar="TOKEN", help="the token of an administrator")
    parser.add_argument("--json", action="store_true", help="print the server's own answer")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(source=FLAGS, name="arguments", problem=f"cannot be read: {message}; see --help")
