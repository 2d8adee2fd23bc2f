"""One value of the configuration with its source: the check of the value, and the printed form of both.

This module must not know which settings exist, or which source wins: that is the task of `router.config.command_line`.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Callable, Iterable
from typing import Any, Final, get_type_hints

import msgspec

from router.errors import ConfigError
from router.secrets import Secret, SecretText, shown_url

FLAGS: Final = "the command line"
ENVIRONMENT: Final = "the environment"
DOTENV: Final = ".env"

Parser = Callable[[Any], Any]
"""A function that takes a value as it was written, and returns the checked value.

It raises `ValueError` with the rest of a sentence, such as "must be a number".
"""


class SourcedValue(msgspec.Struct, frozen=True):
    """A value, its source, and the name of the setting in that source."""

    value: Any
    name: str
    source: str


def checked(parser: Parser, written: Any, name: str | None, source: str) -> SourcedValue:
    """Parse a written value, and return it with its source; raises `ConfigError` for an invalid value."""
    try:
        return SourcedValue(parser(written), str(name), source)
    except ValueError as error:
        raise ConfigError(source=source, name=str(name), problem=str(error)) from None


def refuse_unknown(key: str, known: Iterable[str], source: str, what: str, prefix: str = "") -> None:
    """Raise `ConfigError` for a key that is not known. The error proposes the most similar known key.

    `what` names the kind of the key in the error, such as "flag"; `prefix` precedes the key there.
    """
    if key not in known:
        problem = f"is not a {what}{did_you_mean(key, known)}"
        raise ConfigError(source=source, name=prefix + key, problem=problem)


@functools.cache  # otherwise each call would compile the annotations again
def type_hints(fields_of: type) -> dict[str, Any]:
    """Return the resolved annotations of a class, each with its parser."""
    return get_type_hints(fields_of, include_extras=True)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that proposes the most similar known name; empty if no name is similar."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def line(key: str, value: Any, where: SourcedValue | None) -> str:
    """Return a setting as a line of TOML, with its source as a comment.

    A credential is masked, and `# ` precedes its line, so that no file loads the mask as a value.
    """
    if value is None:
        return f"# {key} is not set"
    origin = f"{where.name}, {where.source}" if where else "default"
    is_hidden = any(
        isinstance(it, Secret) or (isinstance(it, SecretText) and it)
        for it in (value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,))
    )
    return f"{'# ' if is_hidden else ''}{key} = {_toml(value)}  # {origin}"


def _toml(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        value = {key: item for key, item in msgspec.structs.asdict(value).items() if item is not None}
    if isinstance(value, dict):
        pairs = (f"{_toml(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's strings, numbers, booleans and lists are also valid in TOML.
    return json.dumps(_shown(value), ensure_ascii=False)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretText) and value:
        return "***"
    if isinstance(value, str) and "://" in value:
        return shown_url(value)
    return str(value) if isinstance(value, Secret) else value
