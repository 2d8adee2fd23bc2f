"""The policy on OpenAI's client events, on every route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.policy import known, tools
from router.policy.fields import FIELDS
from router.policy.judge import judge
from router.policy.paths import drop_null
from router.policy.rules import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.policy.paths import Fields
    from router.policy.rules import Rule

SPEAKERS: Final = ("user", "assistant")
"""The roles of messages that give the model no instruction."""

_ONLY_RESPONSE: Final = frozenset({"conversation", "input", "metadata"})
"""Fields that exist only in `response.create`. A forced value is set in each such event."""


def judge_event(event: Fields, rules: Mapping[str, Rule], *, fills: bool, is_lenient: bool = False) -> Denied | None:
    """Judge an event, write the values that the policy forces into it, and return the first denial, or None.

    Args:
        event: the event, which is changed.
        rules: the rules of the policy.
        fills: whether the event configures a new session, and gets every forced value.
        is_lenient: whether unknown events and fields pass.
    """
    found = _denials(event, rules, fills=fills, is_lenient=is_lenient)
    return next((denied for denied in found if denied is not None), None)


def _denials(event: Fields, rules: Mapping[str, Rule], *, fills: bool, is_lenient: bool) -> Iterator[Denied | None]:
    kind = event.get("type")
    tree = known.EVENTS.get(kind) if isinstance(kind, str) else None
    allowed = rules.get("events")
    if allowed is not None and not allowed.permits(kind):
        yield Denied(place=_shown(kind), field="events")
    if tree is None:
        if not is_lenient and (allowed is None or allowed.kind != "allow"):
            yield Denied(place=_shown(kind), field="events", problem="is an event that this client may not send")
        return
    if not is_lenient:
        yield known.unknown(event, tree)
    if kind == "session.update":
        yield from judge_session(event.get("session"), rules, fills=fills, is_lenient=is_lenient)
    elif kind == "response.create":
        yield from _response(event, rules, is_lenient=is_lenient)
    elif kind == "conversation.item.create":
        yield from judge_item(event.get("item"), rules, "item", is_lenient=is_lenient)


def _shown(kind: object) -> str:
    return kind[:80] if isinstance(kind, str) else "type"


def judge_session(
    session: object, rules: Mapping[str, Rule], *, fills: bool, is_lenient: bool = False
) -> Iterator[Denied | None]:
    """Yield the denials of the `session` of an update, and write the values that the policy forces into it.

    For `fills` and `is_lenient` see `judge_event`.
    """
    if not isinstance(session, dict):
        yield Denied(place="session", field="", problem="is not an object")
        return
    if not is_lenient:
        # A client may repeat fields that only a server sets. No rule is about them, so they must not reach an upstream.
        for name in known.SET_BY_SERVER:
            session.pop(name, None)
    # A session of another type has other fields.
    if not is_lenient and session.get("type", "realtime") != "realtime":
        yield Denied(place="session.type", field="")
    yield tools.judge(session, "session", rules, fills=fills)
    for name, rule in rules.items():
        row = FIELDS[name]
        if row.session:
            for path in row.session:
                drop_null(session, path)
            yield judge(rule, row, session, row.session, "session", fills=fills, written=row.to_openai)


def _response(event: Fields, rules: Mapping[str, Rule], *, is_lenient: bool) -> Iterator[Denied | None]:
    response = event.get("response")
    given: Any = {} if response is None else response
    field = "response_tools" if "response_tools" in rules else "tools"
    if not isinstance(given, dict):
        yield Denied(place="response", field="", problem="is not an object")
        return
    yield tools.judge(given, "response", rules, fills=False, field=field)
    for index, item in enumerate(given["input"] if isinstance(given.get("input"), list) else ()):
        yield from judge_item(item, rules, f"response.input[{index}]", is_lenient=is_lenient)
    for name, rule in rules.items():
        row = FIELDS[name]
        if row.response and not (name == "instructions" and "response_instructions" in rules):
            fills = name in _ONLY_RESPONSE
            yield judge(rule, row, given, row.response, "response", fills=fills, written=row.to_openai)
    if given:
        event["response"] = given


def judge_item(
    item: object, rules: Mapping[str, Rule], place: str, *, is_lenient: bool = False
) -> Iterator[Denied | None]:
    """Yield the denials of an item that a client creates, at `place` in its event.

    With `is_lenient` unknown fields pass.
    """
    if not isinstance(item, dict):
        yield Denied(place=place, field="items", problem="is not an object")
        return
    if not is_lenient:
        yield known.unknown(item, known.ITEM, place)
    # The API takes an item without a type as a message.
    kind = item.get("type", "message")
    if "items" in rules and not rules["items"].permits(kind):
        yield Denied(place=f"{place}.type", field="items")
    if "role" in item or kind == "message":
        yield judge_role(item.get("role"), rules, f"{place}.role")


def judge_role(role: object, rules: Mapping[str, Rule], place: str) -> Denied | None:
    """Return the denial of a message's role, or None.

    Without a rule `roles`, a message whose role is not in `SPEAKERS` counts as an instruction.
    """
    if "roles" in rules:
        return None if rules["roles"].permits(role) else Denied(place=place, field="roles")
    if role not in SPEAKERS and "instructions" in rules:
        return Denied(place=place, field="instructions")
    return None
