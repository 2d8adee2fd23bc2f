"""The file's list of routes, `[[routes]]`: its reading, its check against other settings, its printing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.config.model import (
    CLIENT_SECRETS_PATHS,
    GRANT_PATHS,
    HEALTH_PATH,
    METRICS_PATH,
    READY_PATH,
    THINK_MODELS_PATHS,
)
from router.config.parsers import one_of, route, switch, text
from router.config.provenance import SourcedValue, checked, did_you_mean, line, refuse_unknown
from router.config.route import DEFAULTS, FRONTS, GUARDED_FAILOVER, NEEDS_FAILOVER, Route
from router.config.schema import SETTINGS
from router.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from router.config.model import RouterConfig

FIELD: Final = "routes"
_TABLE: Final = f"[[{FIELD}]]"

_RESERVED: Final = (HEALTH_PATH, READY_PATH, METRICS_PATH, *GRANT_PATHS, *CLIENT_SECRETS_PATHS, *THINK_MODELS_PATHS)
_RESERVED_BELOW: Final = ("/admin", "/console")
"""The router's own pages: these paths, and every path below them."""

SourcesByRoute = dict[str, SourcedValue]
"""The value and source of each field, such as `routes[0].path`."""


def _path(written: Any) -> str:
    path = route(*_RESERVED)(written)
    if any(path == page or path.startswith(f"{page}/") for page in _RESERVED_BELOW):
        raise ValueError(f"must not be {path}, where the router serves pages of its own")
    return path


def _positions(written: Any) -> tuple[int, ...]:
    if (
        not isinstance(written, list)
        or not written
        or not all(isinstance(it, int) and not isinstance(it, bool) and it >= 0 for it in written)
    ):
        raise ValueError("must be a list of positions in [[upstreams]], the first being 0, such as [0, 1]")
    return tuple(sorted(set(written)))


_PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "path": _path,
    "front": one_of(*FRONTS),
    "policy": text,
    "upstreams": _positions,
    "failover": switch,
    "failover_agent": text,
}

_MEANT: Final = ("policy", "upstreams", "failover", "failover_agent")
"""The keys that have an effect only on some fronts."""

_DEFAULTS: Final = {row.name: row.parser for row in SETTINGS if row.name in DEFAULTS}


# From a file.


def read(written: Any, path: str) -> SourcesByRoute:
    """Return the values of a file's list of routes: each field as `routes[0].path`, and all routes as `routes`.

    Raises:
        ConfigError: an unknown key or front, a bad value, or a path that occurs twice.
    """
    if not isinstance(written, list) or not all(isinstance(table, dict) for table in written):
        raise ConfigError(source=path, name=FIELD, problem=f"must be tables: {_TABLE}")
    sourced: SourcesByRoute = {}
    routes = tuple(_read_one(f"{FIELD}[{index}]", table, path, sourced) for index, table in enumerate(written))
    _refuse_twice(routes, path)
    return {**sourced, FIELD: SourcedValue(routes, FIELD, path)} if routes else {}


def _read_one(name: str, table: dict[str, Any], path: str, sourced: SourcesByRoute) -> Route:
    keys = [*_PARSERS, "defaults"]
    for key, value in table.items():
        refuse_unknown(key, keys, path, f"setting of {_TABLE}", f"{name}.")
        if key != "defaults":
            sourced[f"{name}.{key}"] = checked(_PARSERS[key], value, f"{name}.{key}", path)
    for key in ("path", "front"):
        if key not in table:
            raise ConfigError(source=path, name=f"{name}.{key}", problem="is missing")
    defaults = _read_defaults(f"{name}.defaults", table.get("defaults", {}), path, sourced)
    fields = {key: sourced[f"{name}.{key}"].value for key in _PARSERS if key in table}
    made = Route(**fields, defaults=defaults)
    _refuse_meaningless(name, made, table, path)
    return made


def _read_defaults(name: str, table: Any, path: str, sourced: SourcesByRoute) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ConfigError(source=path, name=name, problem="must be a table: [routes.defaults]")
    for key, value in table.items():
        refuse_unknown(key, _DEFAULTS, path, "setting that a route may have of its own", f"{name}.")
        sourced[f"{name}.{key}"] = checked(_DEFAULTS[key], value, f"{name}.{key}", path)
    return {key: sourced[f"{name}.{key}"].value for key in table}


def _refuse_meaningless(name: str, made: Route, table: dict[str, Any], path: str) -> None:
    meant = FRONTS[made.front]
    needing = NEEDS_FAILOVER.get(made.front, frozenset()) if not made.failover else frozenset()
    given: dict[str, str] = {key: key for key in table if key in _MEANT}
    given |= {f"defaults.{key}": key for key in made.defaults}
    for place, key in given.items():
        if key not in meant:
            raise ConfigError(source=path, name=f"{name}.{place}", problem=f"means nothing on the front {made.front}")
        if key in needing:
            problem = f"means nothing on the front {made.front} without failover"
            raise ConfigError(source=path, name=f"{name}.{place}", problem=problem)


def _refuse_twice(routes: tuple[Route, ...], path: str) -> None:
    first: dict[str, int] = {}
    for index, made in enumerate(routes):
        for served in made.paths:
            if served in first:
                problem = f"serves {served}, and so does {FIELD}[{first[served]}]: remove one of the two"
                raise ConfigError(source=path, name=f"{FIELD}[{index}].path", problem=problem)
            first[served] = index


# The check against the other settings.


def check(config: RouterConfig, sourced: Mapping[str, SourcedValue]) -> None:
    """Raise `ConfigError` if a route names an unknown policy or upstream, or if its `failover` cannot work."""
    count = len(config.all_upstreams())
    for index, made in enumerate(config.routes):
        name = f"{FIELD}[{index}]"
        if made.policy is not None and made.policy not in config.policies:
            near = did_you_mean(made.policy, config.policies)
            problem = f"is {made.policy}, and there is no table [policies.{made.policy}]{near}"
            raise ConfigError(source=_source(f"{name}.policy", sourced), name=f"{name}.policy", problem=problem)
        beyond = next((it for it in made.upstreams if it >= count), None)
        if beyond is not None:
            problem = f"has {beyond}, and the last upstream is {count - 1}"
            raise ConfigError(source=_source(f"{name}.upstreams", sourced), name=f"{name}.upstreams", problem=problem)
        if made.failover:
            _check_failover(config, made, name, sourced)


def _check_failover(config: RouterConfig, made: Route, name: str, sourced: Mapping[str, SourcedValue]) -> None:
    agent = made.failover_agent
    if agent is not None and agent not in config.agents:
        problem = f"is {agent}, and there is no table [agents.{agent}]{did_you_mean(agent, config.agents)}"
        source = _source(f"{name}.failover_agent", sourced)
        raise ConfigError(source=source, name=f"{name}.failover_agent", problem=problem)
    problem = ""
    if config.deepgram_api_key is None:
        problem = "needs Deepgram's key: set DEEPGRAM_API_KEY"
    elif config.guard.is_on and made.front not in GUARDED_FAILOVER:
        problem = "does not work beside [guard], which would miss texts: remove one of the two"
    if problem:
        raise ConfigError(source=_source(f"{name}.failover", sourced), name=f"{name}.failover", problem=problem)


def _source(name: str, sourced: Mapping[str, SourcedValue]) -> str:
    return sourced[name].source if name in sourced else "the configuration"


# For `--check`.


def describe(routes: tuple[Route, ...], sourced: Mapping[str, SourcedValue]) -> Iterator[str]:
    """Yield the list of routes as lines of a file, each with its source."""
    for index, made in enumerate(routes):
        name = f"{FIELD}[{index}]"
        yield from ("", _TABLE)
        for key in _PARSERS:
            value = getattr(made, key)
            # An empty list means all upstreams.
            yield line(key, None if value in ((), False) else value, sourced.get(f"{name}.{key}"))
        if made.defaults:
            yield from ("", f"[{FIELD}.defaults]")
            yield from (line(key, it, sourced.get(f"{name}.defaults.{key}")) for key, it in made.defaults.items())
