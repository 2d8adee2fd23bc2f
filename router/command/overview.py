"""The text of `switchboard --help`: the commands, examples, the key, and the flags of `serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.config.command_line import flags_help

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.command.subcommands import Subcommand

EXAMPLES: Final = (
    ("switchboard", "serve on this machine, at port 8080; without a key a simulator answers"),
    ("OPENAI_API_KEY=sk-... switchboard", "the same in front of OpenAI; a file .env may set the key, too"),
    ("switchboard --upstream ws://127.0.0.1:9000/v1/realtime", "in front of another upstream"),
    ("switchboard canary --json", "test the configured upstream, for a monitor"),
    ("switchboard --check --config router.toml", "print the effective configuration, and stop"),
)

OTHERS: Final = (("--version", "print the version"), ("COMMAND --help", "describe a command"))

KEY: Final = """\
The key of the upstream is read from the variable OPENAI_API_KEY, or from a file .env in the working directory. It has
no flag, because every process of the machine can read command lines."""


def text(rows: Iterable[Subcommand]) -> str:
    """Return the whole text of `switchboard --help`."""
    commands = [(f"{row.name} {row.arguments}", row.summary) for row in rows]
    parts = (
        "usage: switchboard [COMMAND] [FLAGS]",
        "Switchboard is a self-hosted router for voice agents.",
        _section("commands", [*commands, *OTHERS]),
        _section("examples", EXAMPLES),
        f"key:\n{_indented(KEY)}",
        flags_help(),
    )
    return "\n\n".join(parts)


def _section(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"  {left}\n      {right}" for left, right in rows]
    return "\n".join([f"{title}:", *lines])


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
