"""One value of the configuration with its source: checking it, and printing it.

Must not know which settings exist, nor which source wins: that is `router.config.command_line`.
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
"""Takes a value as it was written, and returns it checked; raises `ValueError` with the rest of a sentence."""


class SourcedValue(msgspec.Struct, frozen=True):
    """A value, its source, and the name of its setting in that source."""

    value: Any
    name: str
    source: str


def checked(parser: Parser, written: Any, name: str | None, source: str) -> SourcedValue:
    """Return a written value as its parser returns it, with its source; raises `ConfigError` for an invalid one."""
    try:
        return SourcedValue(parser(written), str(name), source)
    except ValueError as error:
        raise ConfigError(source=source, name=str(name), problem=str(error)) from None


def refuse_unknown(key: str, known: Iterable[str], source: str, what: str, prefix: str = "") -> None:
    """Raise `ConfigError` for a key that is not known. The error proposes the most similar known key."""
    if key not in known:
        problem = f"is not a {what}{did_you_mean(key, known)}"
        raise ConfigError(source=source, name=prefix + key, problem=problem)


@functools.cache  # each look at an annotation would compile it anew
def type_hints(fields_of: type) -> dict[str, Any]:
    """Return the resolved annotations of a class, each with its parser."""
    return get_type_hints(fields_of, include_extras=True)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that proposes the most similar known name, or nothing without a similar one."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def line(key: str, value: Any, where: SourcedValue | None) -> str:
    """Return the line of a file that sets a value, with the source in a comment.

    A credential is masked, and its whole line is a comment.
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
    # JSON's strings, numbers, booleans and lists are TOML's, too.
    return json.dumps(_shown(value), ensure_ascii=False)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretText) and value:
        return "***"
    if isinstance(value, str) and "://" in value:
        return shown_url(value)
    return str(value) if isinstance(value, Secret) else value
