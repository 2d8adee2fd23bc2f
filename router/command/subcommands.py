"""The table of subcommands.

A new subcommand is a row of `SUBCOMMANDS`, and a module with `main(arguments) -> int`. That function returns the exit
status and may raise a `RouterError`, which is printed as one sentence.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Subcommand(NamedTuple):
    """A row of the table."""

    name: str
    arguments: str
    """The arguments of the subcommand, as in a usage line."""
    summary: str
    module: str
    """A module with `main(arguments) -> int`.

    It is imported only if its command runs, because most commands need few modules.
    """


SUBCOMMANDS: Final = (
    Subcommand("serve", "[FLAGS]", "serve the router until Ctrl-C; the default", "router.command.serve"),
    Subcommand("talk", "[URL] [FLAGS]", "hold a conversation in the terminal", "router.command.talk.main"),
    Subcommand(
        "canary", "[--json] [FLAGS]", "test the configured upstream, step by step", "router.command.canary.main"
    ),
    Subcommand("token", "new NAME", "make a static token for a client", "router.command.token"),
    Subcommand("simulator", "[FLAGS]", "serve the simulator of an upstream by itself", "router.simulator.__main__"),
    Subcommand("admin", "VERB [--url URL] [--json]", "show and change a running server", "router.command.admin.main"),
    Subcommand(
        "reload", "[--url URL]", "start workers with the code and configuration of now", "router.command.reload"
    ),
    Subcommand("usage", "FILE [--json]", "sum a usage log by day, principal and model", "router.command.usage"),
    Subcommand("replay", "FILE [--verify]", "print a recorded session, or run it again", "router.command.replay"),
)
