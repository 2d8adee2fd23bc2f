"""The list of upstreams in a file, `[[upstreams]]`: its reading, its replacement by a flag, its printing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.config.parsers import secret
from router.config.provenance import SourcedValue, checked, line, refuse_unknown
from router.config.upstream import PARSERS, Upstream
from router.errors import ConfigError
from router.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIELD: Final = "upstreams"
_TABLE: Final = f"[[{FIELD}]]"

SourcesByUpstream = dict[str, SourcedValue]
"""The value and source of each field, such as `upstreams[0].url`."""


# From a file.


def read(written: Any, path: str, variables: Mapping[str, SourcedValue]) -> SourcesByUpstream:
    """Return the values of a file's list of upstreams: each field, such as `upstreams[0].url`, and the whole list.

    Args:
        written: the list, as the file has it.
        path: the file.
        variables: the variables of the environment and of `.env`. A table may name one of them in place of a key.

    Raises:
        ConfigError: an unknown key, a bad value, or a variable that is not set.
    """
    if not isinstance(written, list) or not all(isinstance(table, dict) for table in written):
        raise ConfigError(source=path, name=FIELD, problem=f"must be tables: {_TABLE}")
    sourced: SourcesByUpstream = {}
    upstreams = tuple(_read_one(name, table, path, variables, sourced) for name, table in _named(written))
    return {**sourced, FIELD: SourcedValue(upstreams, FIELD, path)} if upstreams else {}


def _named(tables: Any) -> Iterator[tuple[str, Any]]:
    return ((f"{FIELD}[{index}]", table) for index, table in enumerate(tables))


def _read_one(
    name: str, table: dict[str, Any], path: str, variables: Mapping[str, SourcedValue], sourced: SourcesByUpstream
) -> Upstream:
    for key, value in table.items():
        refuse_unknown(key, PARSERS, path, f"setting of {_TABLE}", f"{name}.")
        sourced[f"{name}.{key}"] = checked(PARSERS[key], value, f"{name}.{key}", path)
    if "url" not in table:
        raise ConfigError(source=path, name=f"{name}.url", problem="is missing: openai, or a ws:// or wss:// URL")
    if "api_key_env" in table:
        sourced[f"{name}.api_key"] = _key_of_variable(name, sourced, variables)
    given = {key: sourced[f"{name}.{key}"].value for key in _FIELDS if f"{name}.{key}" in sourced}
    if "api_key" in given:
        given["api_key"], *further = given["api_key"]
        given["further_keys"] = tuple(further)
    upstream = Upstream(**given)
    _check_headers(name, upstream, path)
    return upstream


_FIELDS: Final = Upstream.__struct_fields__


def _key_of_variable(name: str, sourced: SourcesByUpstream, variables: Mapping[str, SourcedValue]) -> SourcedValue:
    named = sourced[f"{name}.api_key_env"]
    if f"{name}.api_key" in sourced:
        raise ConfigError(source=named.source, name=named.name, problem="is set beside api_key: set one of the two")
    keys = []
    for variable in named.value:
        found = variables.get(variable)
        if found is None:
            problem = f"names {variable}, which neither the environment nor .env sets"
            raise ConfigError(source=named.source, name=named.name, problem=problem)
        keys.append(checked(secret, found.value, found.name, found.source))
    return SourcedValue(tuple(it.value for it in keys), ", ".join(it.name for it in keys), keys[0].source)


def _check_headers(name: str, upstream: Upstream, path: str) -> None:
    if upstream.api_key and upstream.api_key_header in _header_names(upstream):
        problem = f"has the header {upstream.api_key_header}, which carries api_key: set one of the two"
        raise ConfigError(source=path, name=f"{name}.headers", problem=problem)


def _header_names(upstream: Upstream) -> set[str]:
    return {name.lower() for name, _ in upstream.headers}


# The list together with the other settings.


def resolve(sourced: SourcesByUpstream) -> tuple[SourcesByUpstream, tuple[str, ...]]:
    """Return the values that apply, and warnings.

    A single upstream that a flag or a variable sets replaces the list, with a warning.

    Raises:
        ConfigError: an upstream needs a key and has none.
    """
    if FIELD not in sourced:
        return sourced, ()
    # `refuse_both` refuses both in one file. So the single upstream comes from a flag or a variable here.
    one, listed = sourced.get("upstream"), sourced[FIELD]
    if one is None:
        return _with_openai_key(sourced), ()
    count = len(listed.value)
    rest = {name: it for name, it in sourced.items() if name != FIELD and not name.startswith(f"{FIELD}[")}
    return rest, (f"{one.name} ({one.source}) replaces the {count} {_TABLE} of {listed.source}",)


def refuse_both(sourced: SourcesByUpstream, path: str) -> None:
    """Raise `ConfigError` if one file has a list and a single upstream."""
    if FIELD in sourced and "upstream" in sourced:
        raise ConfigError(source=path, name="upstream", problem=f"is set beside {_TABLE}: set one of the two")


def variables_named(sourced: Mapping[str, SourcedValue]) -> frozenset[str]:
    """Return the names of the environment variables that `api_key_env` in `[[upstreams]]` names."""
    named = (it.value for name, it in sourced.items() if name.endswith(".api_key_env"))
    return frozenset(variable for variables in named for variable in variables)


def _with_openai_key(sourced: SourcesByUpstream) -> SourcesByUpstream:
    listed, key = sourced[FIELD], sourced.get("openai_api_key")
    upstreams, added = [], {}
    for name, upstream in _named(listed.value):
        filled = upstream
        if _lacks_key(upstream):
            if key is None:
                problem = "is missing, and openai needs a key: set api_key_env here, or OPENAI_API_KEY"
                raise ConfigError(source=listed.source, name=f"{name}.api_key", problem=problem)
            filled = msgspec.structs.replace(upstream, api_key=key.value)
            added[f"{name}.api_key"] = key
        upstreams.append(filled)
    return {**sourced, **added, FIELD: SourcedValue(tuple(upstreams), listed.name, listed.source)}


def _lacks_key(upstream: Upstream) -> bool:
    return upstream.url == "openai" and upstream.api_key is None and "authorization" not in _header_names(upstream)


# For `--check`.


def describe(upstreams: tuple[Upstream, ...], sourced: Mapping[str, SourcedValue]) -> list[str]:
    """Return the list of upstreams as lines of a file, each with its source. No line contains a key."""
    lines = []
    for name, upstream in _named(upstreams):
        lines += ["", _TABLE, *_lines_of(name, upstream, sourced)]
    return lines


def _lines_of(name: str, upstream: Upstream, sourced: Mapping[str, SourcedValue]) -> Iterator[str]:
    named = sourced.get(f"{name}.api_key_env")
    for key, value in msgspec.structs.asdict(upstream).items():
        if key == "further_keys":
            continue
        if key == "api_key" and named:
            yield line("api_key_env", named.value if len(named.value) > 1 else named.value[0], named)
        elif key == "api_key" and upstream.further_keys:
            yield line(key, upstream.keys, sourced.get(f"{name}.{key}"))
        elif key == "headers":
            hidden = {header: Secret(text) for header, text in value}
            yield line(key, hidden or None, sourced.get(f"{name}.{key}"))
        else:
            yield line(key, value, sourced.get(f"{name}.{key}"))
