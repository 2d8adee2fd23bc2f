"""The configuration of the command. Flags override the environment, then come `.env`, a file and the defaults.

`load` is pure: it takes the command line, the environment and a function that reads files as arguments.
`router.command.serve` passes the real ones.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import io
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
from dotenv import dotenv_values

from router.config import auth_table, route_table, upstream_table
from router.config.auth import is_loopback
from router.config.former import Warn, present
from router.config.model import RouterConfig
from router.config.parsers import host_and_port, switch
from router.config.provenance import DOTENV, ENVIRONMENT, FLAGS, SourcedValue, checked, line, refuse_unknown, type_hints
from router.config.schema import EVERY_SETTING, SETTINGS, TABLES
from router.errors import ConfigError
from router.secrets import Secret

if TYPE_CHECKING:
    from router.config.setting import Setting

ReadFile = Callable[[str], str]
"""A function that takes a path, and returns the text of the file; raises `OSError` or `UnicodeError`."""


class CommandLine(msgspec.Struct, frozen=True, kw_only=True):
    """The parsed command line, with the configuration of all sources."""

    config: RouterConfig
    check: bool
    """Whether the command only validates."""
    take_over: bool = False
    """Whether the new server replaces the one that already listens on the same address."""
    sourced: Mapping[str, SourcedValue]
    """The value and source of each field (`port`, `deadlines.dial_s`, `upstreams[0].url`). A missing field has its
    default."""
    warnings: tuple[str, ...]
    """Sentences to log, which do not stop the start."""


def load(argv: Sequence[str], environ: Mapping[str, str], read_file: ReadFile) -> RouterConfig:
    """Return the effective configuration.

    Raises:
        ConfigError: an unknown flag or file key, or an invalid value in any source, even if another source overrides
            it.
    """
    return parse_command_line(argv, environ, read_file).config


def parse_command_line(argv: Sequence[str], environ: Mapping[str, str], read_file: ReadFile) -> CommandLine:
    """Return the parsed command line; raises as `load` does."""
    flags = _parse_flags(argv)
    dotenv = _read_dotenv(read_file)
    file = flags.config or environ.get("ROUTER_CONFIG") or dotenv.get("ROUTER_CONFIG")
    warnings: list[str] = []
    sourced, replaced = upstream_table.resolve(
        {
            **_from_file(file, read_file, _variables(dotenv, environ), warnings.append),
            **_from_variables(dotenv, DOTENV),
            **_from_variables(environ, ENVIRONMENT),
            **_from_flags(flags),
        }
    )
    sourced = auth_table.resolve(sourced)
    config = RouterConfig(**fields(sourced))
    check_key(config, sourced)
    auth_table.check_policies(config.auth, config.policies, sourced)
    route_table.check(config, sourced)
    _check_exposed(config, sourced)
    _check_ca_file(sourced, read_file)
    _check_wire_view(config, sourced)
    named = upstream_table.variables_named(sourced)
    unknown = (*_unknown_variables(dotenv, DOTENV, named), *_unknown_variables(environ, ENVIRONMENT, named))
    return CommandLine(
        config=config,
        check=flags.check,
        take_over=flags.take_over,
        sourced=sourced,
        warnings=(*warnings, *unknown, *replaced),
    )


def describe(command_line: CommandLine) -> str:
    """Return the effective configuration as lines of a file, each with its source. No line contains a key."""
    config, sourced = command_line.config, command_line.sourced
    rows = [row for row in SETTINGS if row.name != "upstream" or not config.upstreams]
    lines = [line(row.name, _described(config, row.name), sourced.get(row.name)) for row in rows]
    for table in TABLES:
        values = msgspec.structs.asdict(getattr(config, table))
        lines += ["", f"[{table}]"]
        lines += [line(key, value, sourced.get(f"{table}.{key}")) for key, value in values.items()]
    lines += auth_table.describe(config.auth, sourced)
    lines += upstream_table.describe(config.upstreams, sourced)
    return "\n".join([*lines, *route_table.describe(config.routes, sourced)])


def _described(config: RouterConfig, name: str) -> Any:
    value = getattr(config, name)
    # These tables are hidden: an agent may have the credential of an endpoint, and a policy has values that its clients
    # must not see.
    hidden = {"agents": "an agent", "policies": "a policy"}
    return dict.fromkeys(value, Secret(hidden[name])) if name in hidden else value


# One function for each source.


def _from_flags(flags: argparse.Namespace) -> dict[str, SourcedValue]:
    given = {row: getattr(flags, row.name) for row in EVERY_SETTING if row.flag}
    return {
        row.name: checked(row.parser, ",".join(value) if row.is_repeatable else value, row.flag, FLAGS)
        for row, value in given.items()
        if value is not None
    }


def _from_variables(variables: Mapping[str, str], source: str) -> dict[str, SourcedValue]:
    # An empty variable counts as unset, because compose files and shells write one for a missing value.
    sourced: dict[str, SourcedValue] = {}
    for row in EVERY_SETTING:
        variable, meaning = row.env_switch or ("", "")
        if variables.get(variable) and checked(switch, variables[variable], variable, source).value:
            sourced[row.name] = SourcedValue(meaning, variable, source)
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


def _from_file(
    path: str | None, read_file: ReadFile, variables: Mapping[str, SourcedValue], warn: Warn
) -> dict[str, SourcedValue]:
    if not path:
        return {}
    written = _parse_toml(_read(path, read_file, "--config"), path)
    sourced = upstream_table.read(written.pop(upstream_table.FIELD, []), path, variables)
    sourced.update(route_table.read(written.pop(route_table.FIELD, []), path))
    read_other = functools.partial(_read_named, read_file, path)
    sourced.update(auth_table.read(written.pop(auth_table.FIELD, {}), path, read_other))
    for table in TABLES:
        sourced.update(from_table(table, written.pop(table, {}), path, warn))
    parsers = {row.name: row.parser for row in SETTINGS}
    for key, value in written.items():
        refuse_unknown(
            key, [*parsers, *TABLES, auth_table.FIELD, upstream_table.FIELD, route_table.FIELD], path, "setting"
        )
        sourced[key] = checked(parsers[key], value, key, path)
    upstream_table.refuse_both(sourced, path)
    return sourced


def from_table(table: str, written: Any, source: str, warn: Warn) -> dict[str, SourcedValue]:
    """Return the value of each key in a table, such as `limits.memory_bytes`, and the whole table as `limits`.

    A key of the previous version is accepted, with a warning.

    Raises:
        ConfigError: `written` is no table, a key is unknown, or a value is invalid.
    """
    if not isinstance(written, dict):
        raise ConfigError(source=source, name=table, problem=f"must be a table: [{table}]")
    hints = type_hints(TABLES[table])
    sourced, values = {}, {}
    for key, value in written.items():
        name = present(table, key, written, source, warn)
        if name is None:
            continue
        refuse_unknown(name, hints, source, f"setting of [{table}]", f"{table}.")
        # An error names the key as it was written, and not its present name.
        found = checked(hints[name].__metadata__[0], value, f"{table}.{key}", source)
        sourced[f"{table}.{name}"], values[name] = found, found.value
    return {**sourced, table: SourcedValue(TABLES[table](**values), table, source)} if sourced else {}


# All sources together.


def fields(sourced: Mapping[str, SourcedValue]) -> dict[str, Any]:
    """Return the fields of a `RouterConfig` that a source sets."""
    return {name: it.value for name, it in sourced.items() if "." not in name}


def check_key(
    config: RouterConfig,
    sourced: Mapping[str, SourcedValue],
    remedy: str = "set OPENAI_API_KEY in the environment or in .env",
) -> None:
    """Raise `ConfigError`, with the remedy, if OpenAI is the upstream and no key is set."""
    if config.upstream == "openai" and config.openai_api_key is None and not config.upstreams:
        where = sourced["upstream"]
        problem = f"is openai, which needs a key: {remedy}"
        raise ConfigError(source=where.source, name=where.name, problem=problem)


def _check_exposed(config: RouterConfig, sourced: Mapping[str, SourcedValue]) -> None:
    if config.auth.kinds or config.insecure:
        return
    listened = {"host": config.host, "admin_bind": host_and_port(config.admin_bind)[0] if config.admin_bind else ""}
    for name, host in listened.items():
        if host and not is_loopback(host):
            where = sourced[name]
            problem = (
                f"is {where.value}, which other machines reach, and clients are not authenticated: "
                "set --auth token with ROUTER_TOKENS, another --auth, or --insecure"
            )
            raise ConfigError(source=where.source, name=where.name, problem=problem)


def _check_ca_file(sourced: Mapping[str, SourcedValue], read_file: ReadFile) -> None:
    where = sourced.get("ca_file")
    if where and "-----BEGIN" not in _read(where.value, read_file, where.name, where.source):
        problem = f"names a file without a certificate: {where.value}"
        raise ConfigError(source=where.source, name=where.name, problem=problem)


def _check_wire_view(config: RouterConfig, sourced: Mapping[str, SourcedValue]) -> None:
    where = sourced.get("wire_view")
    if where and config.wire_view and config.workers > 1:
        # A process knows only its own sessions, and the server may answer a page from any process.
        problem = f"needs a single process, and workers is {config.workers}"
        raise ConfigError(source=where.source, name=where.name, problem=problem)


# The command line.


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        found = re.match(r"argument ([^:]+): (.+)", message)
        name, problem = found.groups() if found else ("arguments", message)
        sentence = "needs a value" if problem == "expected one argument" else f"cannot be read: {problem}"
        raise ConfigError(source=FLAGS, name=name, problem=sentence)


def flags_help() -> str:
    """Return the text of `switchboard serve --help`."""
    return _parser().format_help().rstrip()


@functools.cache  # the table does not change
def _parser() -> _Parser:
    # Abbreviations are off, because a new flag could change the meaning of one in a script.
    parser = _Parser(
        prog="switchboard",
        usage="%(prog)s [serve] [FLAGS]",
        description="Serve the router until Ctrl-C.",
        epilog=_WITHOUT_FLAG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for row in EVERY_SETTING:
        if row.flag and row.flag_value is not None:
            parser.add_argument(row.flag, dest=row.name, action="store_const", const=row.flag_value, help=_help(row))
        elif row.flag:
            action = "append" if row.is_repeatable else "store"
            metavar = row.flag.removeprefix("--").replace("-", "_").upper()
            parser.add_argument(row.flag, dest=row.name, action=action, metavar=metavar, help=_help(row))
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings (also ROUTER_CONFIG)")
    parser.add_argument("--check", action="store_true", help="validate, print the effective configuration and exit")
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="replace the server of this user on the same host and port: its calls move here, and it ends",
    )
    return parser


_WITHOUT_FLAG: Final = "\n".join(
    [
        "settings without a flag:",
        *(f"  {(*row.env, f'[{row.key}]')[0]}\n      {row.help}" for row in EVERY_SETTING if not row.flag),
    ]
)


def _parse_flags(argv: Sequence[str]) -> argparse.Namespace:
    flags, unknown = _parser().parse_known_args(argv)
    if unknown:
        # Compare only the flag's name, without a value: `--openai-api-key=KEY` and `--key KEY` are likely mistakes.
        known = [row.flag for row in EVERY_SETTING if row.flag] + ["--config", "--check", "--take-over", "--help"]
        refuse_unknown(unknown[0].partition("=")[0], known, FLAGS, "flag")
    return flags


def _help(row: Setting) -> str:
    default = f"default {row.default_text or row.default}; " if row.flag_value is None else ""
    return f"{row.help} ({default}also {', '.join(row.env)})"


# Reading.


def _unknown_variables(variables: Mapping[str, str], source: str, named: frozenset[str]) -> list[str]:
    known = {"ROUTER_CONFIG", *(name for row in EVERY_SETTING for name in row.env), *named}
    unknown = [name for name in variables if name.startswith("ROUTER_") and name not in known]
    return [f"{name} ({source}) is not a setting and is ignored{_variable_meant(name)}" for name in unknown]


def _variable_meant(name: str) -> str:
    # Some variables are not named like their setting, so ROUTER_UPSTREAM is a likely mistake.
    known = {row.name.upper(): row.env[0] for row in EVERY_SETTING if row.env}
    known |= {variable.removeprefix("ROUTER_"): variable for row in EVERY_SETTING for variable in row.env}
    close = difflib.get_close_matches(name.removeprefix("ROUTER_"), known, n=1)
    return f"; did you mean {known[close[0]]}?" if close else ""


def _read_dotenv(read_file: ReadFile) -> dict[str, str]:
    try:
        written = _read(DOTENV, read_file, DOTENV)
    except ConfigError as error:
        # The file is optional, and `.env` may also be the folder of a virtual environment.
        if isinstance(error.__cause__, FileNotFoundError | IsADirectoryError):
            return {}
        raise
    variables = dotenv_values(stream=io.StringIO(written), interpolate=False)
    return {name: value for name, value in variables.items() if value}


def _read_named(read_file: ReadFile, source: str, path: str, name: str) -> str:
    return _read(path, read_file, name, source)


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
