"""The configuration as keywords of a program: `Router(openai_api_key=..., upstream=...)`.

The parsers and rules are those of the command (`router.config.schema`, `router.config.command_line`), but nothing is
read from the environment. A keyword that is None counts as not given.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict

import msgspec

from router.config import auth_table, command_line, route_table, upstream_table
from router.config.guard import Guard  # noqa: TC001 - `type_hints` resolves the annotation
from router.config.model import Deadlines, Limits, RouterConfig, Safety
from router.config.provenance import SourcedValue, checked, refuse_unknown, type_hints
from router.config.schema import SETTINGS, TABLES
from router.config.upstream import Upstream
from router.errors import ConfigError
from router.secrets import Secret
from router.usage.prices import Price  # noqa: TC001 - `type_hints` resolves the annotation

if TYPE_CHECKING:
    from router.config.former import Warn

SOURCE: Final = "Router(...)"

COMMAND_ONLY: Final = frozenset(
    {
        *("host", "port", "workers", "log_level", "log_format", "log_content", "insecure", "admin_bind"),
        *("tls_cert", "tls_key", "tls_client_ca"),
    }
)
"""Settings of the command's server. An embedding application has its own server and logs."""


class RouterSettings(TypedDict, total=False):
    """The fields of `RouterConfig` that a program may give. docs/configuration.md explains each of them."""

    path: str
    console: bool
    keeper: bool
    wire_view: bool
    wire_view_max_bytes: int
    simulator_voice: bool
    simulator_llm: str | None
    simulator_llm_model: str | None
    simulator_llm_key: str | Secret | None
    upstream: str | None
    openai_api_key: str | Secret | None
    upstreams: Sequence[Upstream | Mapping[str, Any]]
    routes: Sequence[Mapping[str, Any]]
    model: str
    models: Sequence[str]
    turn_detection: str
    voice: str
    voices: Mapping[str, str]
    greeting: str
    transcription_model: str
    vad_threshold: float
    vad_prefix_ms: int
    vad_silence_ms: int
    vad_eagerness: str
    noise_reduction: str
    retention_ratio: float
    max_output_tokens: int
    speed: float
    restarts: int
    interrupted_answer: str
    continued_text: str
    agents: Mapping[str, Mapping[str, Any]]
    policies: Mapping[str, Mapping[str, Any]]
    deepgram_api_key: str | Secret | None
    deepgram_agent_url: str
    deepgram_listen_url: str
    twilio_auth_token: str | Secret | None
    twilio_dtmf: str
    drain_s: float
    dispatchers: int
    ca_file: str | None
    auth: Mapping[str, Any]
    allow_origins: Sequence[str]
    allow_hosts: Sequence[str]
    trusted_proxies: Sequence[str]
    prices: Mapping[str, Price | Mapping[str, Any]]
    guard: Guard | Mapping[str, Any]
    safety: Safety | Mapping[str, Any]
    usage_log: str | None
    otel: str | None
    record: str | None
    record_content: bool
    record_audio: bool
    record_rate: float
    record_principals: Sequence[str]
    record_max_bytes: int
    tool_hosts: Sequence[str]
    tool_networks: Sequence[str]
    deadlines: Deadlines | Mapping[str, Any]
    limits: Limits | Mapping[str, Any]


def config_of(given: Mapping[str, Any], warn: Warn, *, has_hook: bool = False) -> RouterConfig:
    """Return the configuration for the keywords of `Router(...)`.

    `has_hook` says that the application itself authenticates clients.

    Raises:
        ConfigError: a keyword is unknown, has a bad value, or belongs to the command. The error has its name.
    """
    sourced: dict[str, SourcedValue] = {}
    for name, value in given.items():
        if name in COMMAND_ONLY:
            problem = "is a setting of the command alone: configure your own server and logging instead"
            raise ConfigError(source=SOURCE, name=name, problem=problem)
        refuse_unknown(name, type_hints(RouterSettings), SOURCE, "setting")
        if value is not None:
            sourced.update(_sourced(name, value, warn))
    upstream_table.refuse_both(sourced, SOURCE)
    resolved, _ = upstream_table.resolve(sourced)
    config = RouterConfig(**command_line.fields(auth_table.resolve(resolved, has_hook=has_hook)))
    command_line.check_key(config, resolved, "give openai_api_key, too")
    auth_table.check_policies(config.auth, config.policies, resolved)
    route_table.check(config, resolved)
    return config


def _sourced(name: str, value: Any, warn: Warn) -> dict[str, SourcedValue]:
    if name in TABLES:
        return command_line.from_table(name, _table(value), SOURCE, warn)
    if name == upstream_table.FIELD:
        return upstream_table.read(_plain(value), SOURCE, {})
    if name == route_table.FIELD:
        return route_table.read(_plain(value), SOURCE)
    if name == auth_table.FIELD:
        return auth_table.read(_plain(value), SOURCE, _read_nothing)
    parser = next(row.parser for row in SETTINGS if row.name == name)
    return {name: checked(parser, _plain(value), name, SOURCE)}


def _read_nothing(_path: str, name: str) -> str:
    problem = "names a file, and a router that is embedded reads none: give the key itself"
    raise ConfigError(source=SOURCE, name=name, problem=problem)


def _table(value: Any) -> Any:
    # The fields of a program's struct were not validated before, so they are as untrusted as those of a file.
    return msgspec.structs.asdict(value) if isinstance(value, Deadlines | Limits) else _plain(value)


def _plain(value: Any) -> Any:
    """Return the value as the file would have it: lists, dicts and plain text."""
    match value:
        case Secret():
            return value.reveal()
        case Upstream():
            fields = {**msgspec.structs.asdict(value), "headers": dict(value.headers)}
            fields["api_key"], _ = value.keys or None, fields.pop("further_keys")
            return {name: _plain(item) for name, item in fields.items() if item is not None}
        case Mapping():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def checked_config(config: RouterConfig | None, given: Mapping[str, Any], *, has_hook: bool = False) -> RouterConfig:
    """Return `config`, or the configuration that the keywords `given` make if `config` is None.

    `has_hook` says that the application itself authenticates clients.

    Raises:
        TypeError: there are a `config` and keywords.
        ConfigError: a keyword is unknown, or its value is invalid.
    """
    if config is not None:
        if given:
            raise TypeError(f"Router takes a RouterConfig or keywords, not both: {', '.join(given)}")
        return config
    sentences: list[str] = []
    made = config_of(given, sentences.append, has_hook=has_hook)
    for sentence in sentences:
        warnings.warn(sentence, DeprecationWarning, stacklevel=3)  # the caller of the constructor
    return made
