"""What the command was asked: flags, over the environment, over `.env`, over a file, over the defaults.

`load` is pure: the command line, the environment and a way to read files are handed in, so that reading the
real ones stays at the edge (`run.py`).
"""

from __future__ import annotations

import argparse
import difflib
import io
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, get_type_hints

import msgspec
from dotenv import dotenv_values

from router.config import upstream_table
from router.config.model import RouterConfig
from router.config.parsers import is_on
from router.config.provenance import DOTENV, ENVIRONMENT, FLAGS, SourcedValue, checked, line, refuse_unknown
from router.config.schema import SETTINGS, TABLES, Setting
from router.console import say
from router.errors import ConfigError

ReadFile = Callable[[str], str]
"""Return the text of a file; raises `OSError` or `UnicodeError`."""


class CommandLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the command was asked to do."""

    config: RouterConfig
    check: bool
    """Whether only to validate."""
    sourced: Mapping[str, SourcedValue]
    """Field (`port`, `deadlines.dial_s`, `upstreams[0].url`) to what was said of it; what is missing is a default."""
    warnings: tuple[str, ...]
    """Sentences that stop nothing."""


def load(argv: Sequence[str], environ: Mapping[str, str], read_file: ReadFile) -> RouterConfig:
    """Return the effective configuration.

    Raises:
        ConfigError: an unknown flag or file key, or a bad value anywhere, even one that another overrides.
    """
    return parse_command_line(argv, environ, read_file).config


def parse_command_line(argv: Sequence[str], environ: Mapping[str, str], read_file: ReadFile) -> CommandLine:
    """Return what the command was asked to do; raises as `load` does."""
    flags = _parse_flags(argv)
    dotenv = _read_dotenv(read_file)
    file = flags.config or environ.get("ROUTER_CONFIG") or dotenv.get("ROUTER_CONFIG")
    sourced, replaced = upstream_table.resolve(
        {
            **_from_file(file, read_file, _variables(dotenv, environ)),
            **_from_variables(dotenv, DOTENV),
            **_from_variables(environ, ENVIRONMENT),
            **_from_flags(flags),
        }
    )
    config = RouterConfig(**fields(sourced))
    check_key(config, sourced)
    _check_ca_file(sourced, read_file)
    named = upstream_table.variables_named(sourced)
    unknown = (*_unknown_variables(dotenv, DOTENV, named), *_unknown_variables(environ, ENVIRONMENT, named))
    return CommandLine(config=config, check=flags.check, sourced=sourced, warnings=(*unknown, *replaced))


def describe(start: CommandLine) -> str:
    """Return the effective configuration as lines of a file, each with where it was said; never the key."""
    config, sourced = start.config, start.sourced
    rows = [row for row in SETTINGS if row.name != "upstream" or not config.upstreams]
    lines = [line(row.name, getattr(config, row.name), sourced.get(row.name)) for row in rows]
    for table in TABLES:
        values = msgspec.structs.asdict(getattr(config, table))
        lines += ["", f"[{table}]"]
        lines += [line(key, value, sourced.get(f"{table}.{key}")) for key, value in values.items()]
    return "\n".join([*lines, *upstream_table.describe(config.upstreams, sourced)])


# What was said: one function for each place.


def _from_flags(flags: argparse.Namespace) -> dict[str, SourcedValue]:
    return {
        row.name: checked(row.parser, getattr(flags, row.name), row.flag, FLAGS)
        for row in SETTINGS
        if row.flag and getattr(flags, row.name) is not None
    }


def _from_variables(variables: Mapping[str, str], source: str) -> dict[str, SourcedValue]:
    # An empty variable is one that is not set, as docker and shells have it.
    sourced: dict[str, SourcedValue] = {}
    for row in SETTINGS:
        switch, meaning = row.env_switch or ("", "")
        if variables.get(switch) and checked(is_on, variables[switch], switch, source).value:
            sourced[row.name] = SourcedValue(meaning, switch, source)
        for name in reversed(row.env):
            if variables.get(name):
                sourced[row.name] = checked(row.parser, variables[name], name, source)
    return sourced


def _variables(dotenv: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, SourcedValue]:
    places = ((dotenv, DOTENV), (environ, ENVIRONMENT))
    return {
        name: SourcedValue(value, name, source)
        for variables, source in places
        for name, value in variables.items()
        if value
    }


def _from_file(path: str | None, read_file: ReadFile, variables: Mapping[str, SourcedValue]) -> dict[str, SourcedValue]:
    if not path:
        return {}
    written = _parse_toml(_read(path, read_file, "--config"), path)
    sourced = upstream_table.read(written.pop(upstream_table.FIELD, []), path, variables)
    for table in TABLES:
        sourced.update(from_table(table, written.pop(table, {}), path))
    kinds = {row.name: row.parser for row in SETTINGS}
    for key, value in written.items():
        refuse_unknown(key, [*kinds, *TABLES, upstream_table.FIELD], path, "setting")
        sourced[key] = checked(kinds[key], value, key, path)
    upstream_table.refuse_both(sourced, path)
    return sourced


def from_table(table: str, written: Any, path: str) -> dict[str, SourcedValue]:
    """Return what is said of a table: each key, and the table with all of them; raises `ConfigError`."""
    if not isinstance(written, dict):
        raise ConfigError(source=path, name=table, problem=f"must be a table: [{table}]")
    hints = get_type_hints(TABLES[table], include_extras=True)
    sourced = {}
    for key, value in written.items():
        refuse_unknown(key, hints, path, f"setting of [{table}]", f"{table}.")
        sourced[f"{table}.{key}"] = checked(hints[key].__metadata__[0], value, f"{table}.{key}", path)
    values = {key: sourced[f"{table}.{key}"].value for key in written}
    return {**sourced, table: SourcedValue(TABLES[table](**values), table, path)} if sourced else {}


# What goes together.


def fields(sourced: Mapping[str, SourcedValue]) -> dict[str, Any]:
    """Return the fields of a `RouterConfig` that were said."""
    return {name: it.value for name, it in sourced.items() if "." not in name}


def check_key(
    config: RouterConfig,
    sourced: Mapping[str, SourcedValue],
    remedy: str = "set OPENAI_API_KEY in the environment or in .env",
) -> None:
    """Raise `ConfigError`, with the remedy, where OpenAI was said to be the upstream and there is no key."""
    if config.upstream == "openai" and config.openai_api_key is None and not config.upstreams:
        where = sourced["upstream"]
        problem = f"is openai, which needs a key: {remedy}"
        raise ConfigError(source=where.source, name=where.name, problem=problem)


def _check_ca_file(sourced: Mapping[str, SourcedValue], read_file: ReadFile) -> None:
    where = sourced.get("ca_file")
    if where and "-----BEGIN" not in _read(where.value, read_file, where.name, where.source):
        problem = f"holds no certificate: {where.value}"
        raise ConfigError(source=where.source, name=where.name, problem=problem)


# The command line.


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        found = re.match(r"argument ([^:]+): (.+)", message)
        name, problem = found.groups() if found else ("arguments", message)
        sourced = "needs a value" if problem == "expected one argument" else f"cannot be read: {problem}"
        raise ConfigError(source=FLAGS, name=name, problem=sourced)

    def print_help(self, _file: Any = None) -> None:
        say(self.format_help().rstrip())


def _parse_flags(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="run.py", description="A switchboard for voice agents.", allow_abbrev=False)
    for row in SETTINGS:
        if row.flag:
            parser.add_argument(row.flag, dest=row.name, metavar=row.name.upper(), help=_help(row))
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings (also ROUTER_CONFIG)")
    parser.add_argument("--check", action="store_true", help="validate, print what is in force and exit")
    flags, unknown = parser.parse_known_args(argv)
    if unknown:
        # Only the first, and not what it was set to: it may be a key that somebody took for a flag.
        known = [row.flag for row in SETTINGS if row.flag] + ["--config", "--check", "--help"]
        refuse_unknown(unknown[0].partition("=")[0], known, FLAGS, "flag")
    return flags


def _help(row: Setting) -> str:
    default = row.default_text or row.default
    return f"{row.help} (default {default}; also {', '.join(row.env)})"


# Reading.


def _unknown_variables(variables: Mapping[str, str], source: str, named: frozenset[str]) -> list[str]:
    known = {"ROUTER_CONFIG", *(name for row in SETTINGS for name in row.env), *named}
    unknown = [name for name in variables if name.startswith("ROUTER_") and name not in known]
    return [f"{name} ({source}) is not a setting and is ignored{_variable_meant(name)}" for name in unknown]


def _variable_meant(name: str) -> str:
    # A setting's own name is a good guess too, where the variable has another: ROUTER_UPSTREAM.
    meant = {row.name.upper(): row.env[0] for row in SETTINGS}
    meant |= {variable.removeprefix("ROUTER_"): variable for row in SETTINGS for variable in row.env}
    close = difflib.get_close_matches(name.removeprefix("ROUTER_"), meant, n=1)
    return f"; did you mean {meant[close[0]]}?" if close else ""


def _read_dotenv(read_file: ReadFile) -> dict[str, str]:
    try:
        written = _read(DOTENV, read_file, DOTENV)
    except ConfigError as error:
        # Often there is none, and some keep a virtual environment under that name.
        if isinstance(error.__cause__, FileNotFoundError | IsADirectoryError):
            return {}
        raise
    variables = dotenv_values(stream=io.StringIO(written), interpolate=False)
    return {name: value for name, value in variables.items() if value}


def _read(path: str, read_file: ReadFile, name: str, source: str | None = None) -> str:
    try:
        return read_file(path)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        problem = f"cannot be read: {why}" + ("" if source is None else f" ({path})")
        raise ConfigError(source=source or path, name=name, problem=problem) from error


def _parse_toml(written: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source=path, name="the file", problem=f"is not TOML: {error}") from None
