"""`switchboard replay`: prints a recording as a trace or as a test, verifies it, or plays it to a server or a router.

The verification runs the recording through the present session machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from router.command import against, as_upstream
from router.command.streams import say
from router.config.provenance import FLAGS
from router.errors import ConfigError
from router.recording import as_test, printed
from router.recording.notation import NotationError
from router.recording.reader import Recording, RecordingError
from router.recording.replay import verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DIFFERENT: Final = 1
TOKEN: Final = "SWITCHBOARD_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable with the token for the server of `--against`, as for `switchboard talk`."""


def main(arguments: Sequence[str]) -> int:
    """Print, verify or play a recording. Return 1 if the verification finds another command than the recorded one.

    Raises:
        ConfigError: an argument is invalid, or the file cannot be read.
        RecordingError: the file is torn, or it is no recording.
    """
    parser = _Parser(
        prog="switchboard replay",
        description="Print a recording of --record as a trace, or run it through the session of this version.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="a file of --record")
    parser.add_argument(
        "--verify", action="store_true", help="compare every command to the byte; exit with 1 at the first difference"
    )
    parser.add_argument("--as-test", action="store_true", help="print a pytest playbook of the session")
    parser.add_argument(
        "--against",
        metavar="URL",
        help=f"play the client's part to a server, or the router's to an upstream; {TOKEN} has the credential",
    )
    parser.add_argument(
        "--as-upstream", metavar="HOST:PORT", help="listen, and play the upstream's part to a router in real time"
    )
    given = parser.parse_args(list(arguments))
    with _opened(given.file) as recording:
        if given.against:
            return _play_against(recording, given)
        if given.as_upstream:
            return _play_upstream(recording, given)
        if given.as_test:
            return _print_test(recording, given.file)
        return _verify(recording, given.file) if given.verify else _print(recording)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(source=FLAGS, name="arguments", problem=f"cannot be read: {message}")


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Recording]:
    try:
        with Path(path).open("rb") as lines:
            yield Recording(path, lines)
    except OSError as error:
        raise ConfigError(source=FLAGS, name=path, problem=f"cannot be read: {error.strerror}") from error


def _print(recording: Recording) -> int:
    say(printed.heading(recording.header))
    printer = printed.Printer(has_content=recording.header.has_content)
    for step in recording.steps():
        for line in printer.lines(step):
            say(line)
    return 0


def _play_against(recording: Recording, given: argparse.Namespace) -> int:
    try:
        against.play(recording, given.against, os.environ.get(TOKEN), say)
    except NotationError as error:
        raise RecordingError(given.file, str(error)) from None
    return 0


def _play_upstream(recording: Recording, given: argparse.Namespace) -> int:
    try:
        as_upstream.play(recording, given.as_upstream, say)
    except NotationError as error:
        raise RecordingError(given.file, str(error)) from None
    return 0


def _print_test(recording: Recording, path: str) -> int:
    try:
        for part in as_test.lines(recording.header, recording.steps()):
            say(part)
    except NotationError as error:
        raise RecordingError(path, str(error)) from None
    return 0


def _verify(recording: Recording, path: str) -> int:
    found = verify(recording, path)
    if found.difference is not None:
        say(f"{path} differs: {found.difference}")
        return DIFFERENT
    say(f"{path} is the same: {found.steps} inputs, {found.commands} commands")
    return 0
