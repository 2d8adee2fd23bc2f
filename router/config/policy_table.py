"""The tables `[policies.NAME]`, with the limits `[policies.NAME.limits]` of a session under the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.config.model import Limits
from router.config.provenance import type_hints
from router.policy.table import policies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.policy.policy import Policy

LIMITS: Final = "limits"

OF_A_SESSION: Final = (
    "max_call_s",
    "max_silence_s",
    "silence_question",
    "silence_goodbye",
    "max_turns",
    "max_tokens",
    "max_cost_usd",
    "max_messages_per_s",
    "max_bytes_per_s",
    "max_sessions_per_principal",
    "max_sessions_per_address",
    "max_tokens_per_day",
    "max_cost_usd_per_day",
    "max_turns_per_day",
)
"""The keys of `[limits]` that a policy may set for its sessions."""


def parse(written: Any) -> dict[str, Policy]:
    """Parse the tables of the policies, by name, or JSON text of these tables. No error shows a forced value."""
    tables = _json(written) if isinstance(written, str) else written
    if not isinstance(tables, dict):
        return policies(tables)
    found = policies({name: _without_limits(table) for name, table in tables.items()})
    return {name: _limited(policy, tables[name]) for name, policy in found.items()}


def limits_of(limits: Limits, policy: Policy | None) -> Limits:
    """Return the limits of a session under a policy. The policy's limits replace those of `[limits]`."""
    return msgspec.structs.replace(limits, **policy.limits) if policy is not None and policy.limits else limits


def limits_of_policies(limits: Limits, policies: Mapping[str, Policy]) -> list[Limits]:
    """Return the limits of the sessions under each policy."""
    return [limits_of(limits, policy) for policy in policies.values()]


def _json(written: str) -> Any:
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        return None


def _without_limits(table: Any) -> Any:
    return {key: value for key, value in table.items() if key != LIMITS} if isinstance(table, dict) else table


def _limited(policy: Policy, table: dict[str, Any]) -> Policy:
    if LIMITS not in table:
        return policy
    written, place = table[LIMITS], f"{policy.name}.{LIMITS}"
    if not isinstance(written, dict):
        raise ValueError(f"must be a table: [policies.{place}]")  # noqa: TRY004 - a parser raises ValueError alone
    hints = type_hints(Limits)
    limits = {}
    for key, value in written.items():
        if key not in OF_A_SESSION:
            raise ValueError(f"has {place}.{key}, but a policy sets {', '.join(OF_A_SESSION)}")
        try:
            limits[key] = hints[key].__metadata__[0](value)
        except ValueError as problem:
            raise ValueError(f"has {place}.{key}, which {problem}") from None
    return msgspec.structs.replace(policy, limits=limits)
