"""`switchboard token new NAME`: a new static token, and its hash for the file of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.access.tokens import new_token
from router.command.streams import say
from router.config.auth import token_name
from router.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP: Final = """\
usage: switchboard token new NAME

Print a new token for the client NAME, and its SHA-256. The router keeps only the hash, in its file of settings:

  [auth.tokens.NAME]
  sha256 = "..."
  expires = 2027-01-31T12:00:00Z   # optional
  policy = "..."                   # optional
  admin = true                     # optional"""


def main(arguments: Sequence[str]) -> int:
    """Print a new token; return the exit status.

    Raises:
        ConfigError: the arguments are not `new NAME`, or the name is invalid for a client.
    """
    match list(arguments):
        case ["-h" | "--help"] | ["new", "-h" | "--help"]:
            say(HELP)
        case ["new", name]:
            say(_described(name, *new_token()))
        case _:
            raise ConfigError(source="the command line", name="token", problem="is used as: switchboard token new NAME")
    return 0


def _described(name: str, token: str, sha256: str) -> str:
    try:
        token_name(name)
    except ValueError as error:
        raise ConfigError(source="the command line", name="NAME", problem=str(error)) from None
    # Without quotes, TOML would read a name with a dot as two keys.
    key = f'"{name}"' if not name.replace("-", "").replace("_", "").isalnum() else name
    lines = (
        f"token:  {token}",
        f"sha256: {sha256}",
        "",
        "The token is shown once. Give it to the client, and put its hash into the file of settings:",
        "",
        f"[auth.tokens.{key}]",
        f'sha256 = "{sha256}"',
    )
    return "\n".join(lines)
