"""The configuration as a program gives it: `Router(openai_api_key=..., upstream=...)`.

The same kinds and rules as for the command (`router.settings`, `router.start`), and nothing is read from the
environment. What is None counts as not given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, get_type_hints

import msgspec

from router.config import command_line, upstream_table
from router.config.model import Deadlines, Limits, RouterConfig
from router.config.provenance import SourcedValue, checked, refuse_unknown
from router.config.schema import SETTINGS, TABLES
from router.config.upstream import Upstream
from router.errors import ConfigError
from router.secrets import Secret

PLACE: Final = "Router(...)"

OF_THE_COMMAND: Final = frozenset({"host", "port", "workers", "log_level", "log_format"})
"""What says how the command serves: embedded, somebody else does."""


class RouterSettings(TypedDict, total=False):
    """The fields of `RouterConfig` that may be given by keyword; docs/configuration.md says what each is."""

    path: str
    upstream: str | None
    openai_api_key: str | Secret | None
    upstreams: Sequence[Upstream | Mapping[str, Any]]
    model: str
    models: Sequence[str]
    turn_detection: str
    voice: str
    voices: Mapping[str, str]
    greeting: str
    transcription_model: str
    restarts: int
    interrupted_answer: str
    drain_s: float
    dispatchers: int
    ca_file: str | None
    tool_hosts: Sequence[str]
    tool_networks: Sequence[str]
    deadlines: Deadlines | Mapping[str, Any]
    limits: Limits | Mapping[str, Any]


def config_of(given: Mapping[str, Any]) -> RouterConfig:
    """Return the configuration; raises `ConfigError` with the keyword's name."""
    sourced: dict[str, SourcedValue] = {}
    for name, value in given.items():
        if name in OF_THE_COMMAND:
            raise ConfigError(source=PLACE, name=name, problem="is the command's alone: your own server has that")
        refuse_unknown(name, get_type_hints(RouterSettings), PLACE, "setting")
        if value is not None:
            sourced.update(_sourced(name, value))
    upstream_table.refuse_both(sourced, PLACE)
    settled, _ = upstream_table.resolve(sourced)
    config = RouterConfig(**command_line.fields(settled))
    command_line.check_key(config, settled, "give openai_api_key, too")
    return config


def _sourced(name: str, value: Any) -> dict[str, SourcedValue]:
    if name in TABLES:
        return command_line.from_table(name, _table(value), PLACE)
    if name == upstream_table.FIELD:
        return upstream_table.read(_plain(value), PLACE, {})
    parser = next(row.parser for row in SETTINGS if row.name == name)
    return {name: checked(parser, _plain(value), name, PLACE)}


def _table(value: Any) -> Any:
    return msgspec.structs.asdict(value) if isinstance(value, Deadlines | Limits) else _plain(value)


def _plain(value: Any) -> Any:
    """Return what the file would have: a list for any sequence, a dict for any mapping, a key as it is."""
    match value:
        case Secret():
            return value.reveal()
        case Upstream():
            fields = {**msgspec.structs.asdict(value), "headers": dict(value.headers)}
            return {name: _plain(item) for name, item in fields.items() if item is not None}
        case Mapping():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def checked_config(config: RouterConfig | None, given: Mapping[str, Any]) -> RouterConfig:
    """Return `config`, or the one that the keywords make.

    Raises:
        TypeError: both were given.
        ConfigError: a keyword is unknown, or its value no good.
    """
    if config is not None and given:
        raise TypeError(f"Router takes a RouterConfig or keywords, not both: {', '.join(given)}")
    return config_of(given) if config is None else config
