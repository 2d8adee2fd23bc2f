"""The tables `[policies.NAME]` of the configuration."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from router.policy.fields import FIELDS, Field
from router.policy.policy import Policy
from router.policy.rules import KINDS, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def policies(written: Any) -> dict[str, Policy]:
    """Return the policies by name. `written` has a table for each policy, or is the JSON text of such an object.

    No error shows a forced value.
    """
    found = _json(written) if isinstance(written, str) else written
    if not isinstance(found, dict):
        raise ValueError("must be tables of policies, [policies.NAME], or a JSON object of objects")  # noqa: TRY004 - a parser raises ValueError alone
    return {_name(name): Policy(name, _rules(name, table)) for name, table in found.items()}


def _json(written: str) -> Any:
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        return None


def _name(written: Any) -> str:
    if not isinstance(written, str) or not _NAME.fullmatch(written):
        raise ValueError("has a policy whose name is not made of letters, digits, dots and dashes, 64 at most")
    return written


def _rules(policy: str, table: Any) -> dict[str, Rule]:
    if not isinstance(table, dict):
        raise ValueError(f"must be tables: [policies.{policy}]")  # noqa: TRY004 - as above
    return {_known(name, policy): _rule(f"{policy}.{name}", FIELDS[name], rule) for name, rule in table.items()}


def _known(name: str, policy: str) -> str:
    if name not in FIELDS:
        near = difflib.get_close_matches(name, FIELDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f": the fields are {', '.join(FIELDS)}"
        raise ValueError(f"has {policy}.{name}, which is no field of a policy{hint}")
    return name


def _rule(place: str, field: Field, written: Any) -> Rule:
    if not isinstance(written, dict) or len(written) != 1 or next(iter(written)) not in KINDS:
        kinds = "{ force = … }, { allow = […] }, { prefix = … } or { deny = true }"
        raise ValueError(f"has {place}, which must be one of {kinds}")
    kind, value = next(iter(written.items()))
    if kind not in field.kinds:
        raise ValueError(f"has {place}.{kind}, but this field takes {', '.join(field.kinds)}")
    problem = _problem(kind, field, value)
    if problem is not None:
        raise ValueError(f"has {place}.{kind}, which must be {problem}")
    if kind == "allow":
        # Convert the values to the form that a rule compares: `mulaw` and `audio/pcmu` are one format.
        value = [name for each in value for name in field.names(each)]
    return Rule(kind, None if kind == "deny" else value)


def _problem(kind: str, field: Field, value: Any) -> str | None:
    if kind == "force":
        check, words = _FORCED.get(field.name, _TEXT)
        return None if check(value) else words
    is_right = {
        "deny": value is True,
        "allow": isinstance(value, list) and all(isinstance(each, str | int | float) for each in value),
        "prefix": isinstance(value, str) and bool(value),
    }[kind]
    return None if is_right else _MEANT[kind]


_MEANT: Final = {"deny": "true", "allow": "a list of names or numbers", "prefix": "a text that is not empty"}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name_or_table(value: Any) -> bool:
    return isinstance(value, str | dict)


def _is_amount(value: Any) -> bool:
    return value == "inf" or (isinstance(value, int | float) and not isinstance(value, bool))


def _are_tools(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(tool, dict) for tool in value)


def _are_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value))


_TEXT: Final = (_is_text, "a text")
_TOOLS: Final = (_are_tools, "a list of tools")
_NAMES: Final = (_are_names, "a name, or a list of names")
_AMOUNT: Final = (_is_amount, 'a number, or "inf"')
_NAME_OR_TABLE: Final = (_is_name_or_table, "a name, or a table")

_FORCED: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    **dict.fromkeys(("tools", "mcp", "response_tools"), _TOOLS),
    **dict.fromkeys(("modalities", "include"), _NAMES),
    **dict.fromkeys(("max_output_tokens", "speed", "temperature"), _AMOUNT),
    **dict.fromkeys(("turn_detection", "input_format", "output_format", "transcription"), _NAME_OR_TABLE),
    **dict.fromkeys(("noise_reduction", "truncation", "reasoning", "tracing", "tool_choice", "voice"), _NAME_OR_TABLE),
    "metadata": (lambda value: isinstance(value, dict), "a table"),
    "input": (lambda value: isinstance(value, list), "a list of items"),
}
"""For each field, the check of a forced value, and the words that describe a valid value.

Any other field takes a text.
"""
