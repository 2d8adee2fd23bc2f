"""The first line of a recording: the session's configuration without secrets, from which a replay makes the machine."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import orjson

from router.access.request import Query, values_of
from router.config.guard import SOURCES, Guard, Source
from router.config.model import Deadlines, Limits, RouterConfig
from router.deepgram import blocks
from router.fronts.agents import Agents
from router.fronts.failover import build
from router.fronts.front import Call, guarded
from router.fronts.table import FRONTS
from router.guard.machine import GuardedMachine
from router.policy.policy import Policy
from router.recording.notation import NotationError
from router.recording.sums import ReplayedSums
from router.secrets import SecretText
from router.session.machine import Session
from router.session.options import SessionOptions
from router.translation.voices import Voices
from router.usage.prices import Price, PriceTable
from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.machine import Machine
    from router.recording.mask import Mask

FORMAT: Final = 1
"""The number of the recording's format. A reader of another format refuses the recording."""

CONFIG: Final = ("twilio_dtmf", "deadlines", "limits", "model", "models", "voice", "transcription_model")
"""The settings that a front may read during a session (`Call.config`). Only the URL in `limits.store` may be secret."""

_PRICES: Final = "price_table"
_POLICY: Final = "policy"
_URL: Final = "url"


class RecordedGuard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a guard that a replay needs. Verdicts are recorded as inputs, so a replay needs no rules."""

    on: tuple[Source, ...]
    """The sources whose texts wait for a verdict: the user, functions or the agent."""
    timeout_s: float
    on_failure: Literal["pass", "block"]
    window_chars: int


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The header of a recording: the facts about its session, and the configuration."""

    switchboard: str = "recording"
    format: int = FORMAT
    version: str = VERSION
    session: str
    front: str
    route: str = ""
    principal: str | None = None
    started_at: str = ""
    has_content: bool = False
    has_audio: bool = False
    options: dict[str, Any]
    query: dict[str, str | list[str]] = {}
    """The query of the client's URL, without credentials. A repeated parameter has a list."""
    has_day_limit: bool = False
    """Whether the session has a limit per day, so that it requests the client's sums of the day."""
    agents: dict[str, Any] = {}
    config: dict[str, Any] = {}
    failover: dict[str, Any] | None = None
    """The fields of a `Plan` for a call that two backends may serve."""
    guard: dict[str, Any] | None = None
    """The fields of a `RecordedGuard` around the session; None if the guard checks nothing."""


class Replayed(typing.NamedTuple):
    """A machine that was built from a header, and the session in it."""

    machine: Machine
    session: Session
    today: ReplayedSums


def options_written(options: SessionOptions, mask: Mask) -> dict[str, Any]:
    """Return the options of a session as values of JSON, without secrets."""
    fields = {name: getattr(options, name) for name in options.__struct_fields__}
    prices, policy = fields.pop(_PRICES), fields.pop(_POLICY)
    named = {name: value for name, value in fields.items() if not callable(value)}
    found = msgspec.to_builtins(named, enc_hook=_nothing_of)
    # The descriptions of functions contain words. Every other option is a name or a number.
    found["tools"] = mask.value(found["tools"])
    if policy is not None:
        found[_POLICY] = _policy_written(policy, mask)
    if prices is not None:
        found[_PRICES] = msgspec.to_builtins(prices.models)
    without_secrets: dict[str, Any] = orjson.loads(mask.redact(orjson.dumps(found).decode()))
    return without_secrets


def _nothing_of(value: object) -> str:
    """Return an empty string in place of a text that may contain a credential, such as the URL of a store."""
    if not isinstance(value, SecretText):
        raise NotImplementedError
    return ""


def _policy_written(policy: Policy, mask: Mask) -> dict[str, Any]:
    rules = {name: msgspec.to_builtins(rule) for name, rule in policy.rules.items()}
    for name, rule in rules.items():
        # The value of a rule is masked like a client's message with this value in the field.
        rule["value"] = mask.value({_URL if _is_url(rule["value"]) else name: rule["value"]}).popitem()[1]
    # Leave out the texts that the policy hides, because they follow from the rules.
    return {"name": policy.name, "rules": rules, "is_lenient": policy.is_lenient}


def _is_url(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, str) and "://" in first


def config_written(config: RouterConfig, mask: Mask) -> dict[str, Any]:
    """Return, as masked values of JSON, the settings that a front may read."""
    text = msgspec.json.encode({name: getattr(config, name) for name in CONFIG}, enc_hook=_nothing_of).decode()
    found: dict[str, Any] = orjson.loads(mask.redact(text))
    return found


def guard_written(guard: Guard) -> dict[str, Any] | None:
    """Return the fields of a `RecordedGuard`; None if the guard checks nothing."""
    if not guard.is_on:
        return None
    read = RecordedGuard(
        on=tuple(source for source in SOURCES if guard.checks(source)),
        timeout_s=guard.timeout_s,
        on_failure=guard.on_failure,
        window_chars=guard.window_chars,
    )
    written: dict[str, Any] = msgspec.to_builtins(read)
    return written


def machine_of(header: Header) -> Replayed:
    """Return a machine of the installed version for a recorded session, with its `Session` and its sums of the day.

    Raises:
        NotationError: this version has no such front, or the options are invalid.
    """
    front = FRONTS.get(header.front)
    if front is None:
        raise NotationError(f"this version has no front {header.front[:40]!r}")
    try:
        today = ReplayedSums()
        options = _options(header.options)
        if header.has_day_limit:
            options = msgspec.structs.replace(options, spend_today=today)
        session = Session(header.session, front.profile, options)
        config = RouterConfig(**_fields(RouterConfig, _CONFIG_HINTS, header.config))
        call = Call(
            session=session,
            machine=_guarded(session, header) if not front.is_relay else session,
            agents=Agents(header.agents),
            config=config,
            policy=options.policy,
            query=query_read(header.query),
            session_id=header.session,
        )
        if header.failover is not None:
            plan = msgspec.convert(header.failover, build.Plan)
            machine = build.machine_of(front, call, plan)
            if build.has_guard(front):
                machine = guarded(front, machine, _guard(header), header.session)
            if not front.is_relay:
                machine = front.adapt(msgspec.structs.replace(call, machine=machine))
            return Replayed(machine, session, today)
        machine = guarded(front, front.adapt(call), _guard(header), header.session)
        return Replayed(machine, session, today)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise NotationError(f"the configuration is invalid: {error}") from None


def query_written(query: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return the query of a URL in the form that a header has."""
    values = {name: values_of(query, name) for name in query}
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def query_read(written: Mapping[str, str | list[str]]) -> Query:
    """Return the query of a URL from the form that a header has."""
    pairs = ((name, [found] if isinstance(found, str) else found) for name, found in written.items())
    return Query((name, value) for name, values in pairs for value in values)


def _guarded(session: Session, header: Header) -> Machine:
    guard = _guard(header)
    return GuardedMachine(session, guard, header.session) if guard.is_on else session


def _guard(header: Header) -> Guard:
    if header.guard is None:
        return Guard()
    # The function is never called, because the recorded verdicts are inputs.
    read = msgspec.convert(header.guard, RecordedGuard)
    return Guard(function="recorded", **msgspec.structs.asdict(read))


def _options(given: Mapping[str, Any]) -> SessionOptions:
    prices = given.get(_PRICES)
    fields = _fields(SessionOptions, _OPTION_HINTS, {name: each for name, each in given.items() if name != _PRICES})
    if prices is not None:
        fields[_PRICES] = PriceTable(msgspec.convert(prices, dict[str, Price]))
    # A recording of an earlier version lacks this field. That version sent only the rest.
    return SessionOptions(**{"continued_text": "rest", **fields})


def _fields(kind: type[Any], hints: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    # Skip a field that this version does not know, because it has no effect here.
    return {name: msgspec.convert(given[name], hints[name]) for name in kind.__struct_fields__ if name in given}


_OPTION_HINTS: Final = typing.get_type_hints(
    SessionOptions,
    localns={
        "Callable": typing.Callable,
        "Deadlines": Deadlines,
        "Limits": Limits,
        "blocks": blocks,
        "Voices": Voices,
        "TurnDetection": str,
        "PriceTable": PriceTable,
        "Policy": Policy,
    },
)
_CONFIG_HINTS: Final = {name: hint for name, hint in typing.get_type_hints(RouterConfig).items() if name in CONFIG}


def read(line: bytes) -> Header:
    """Return the header of a recording.

    Raises:
        NotationError: the line is no header, or its format has another number.
    """
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise NotationError("it is no recording of a session") from None
    if not isinstance(fields, dict) or fields.get("switchboard") != "recording":
        raise NotationError("it is no recording of a session")
    if fields.get("format") != FORMAT:
        raise NotationError(f"its format {str(fields.get('format'))[:20]} is not {FORMAT}, which this version reads")
    try:
        return msgspec.convert(fields, Header)
    except msgspec.ValidationError as error:
        raise NotationError(f"its first line is damaged: {error}") from None
