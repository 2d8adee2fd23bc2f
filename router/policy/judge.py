"""The check of one rule at the places of its field in one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.policy.paths import copied, put, spots
from router.policy.rules import ABSENT, Denied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.policy.fields import Field
    from router.policy.paths import Path, Spot
    from router.policy.rules import Rule


def judge(
    rule: Rule,
    field: Field,
    root: object,
    places: Sequence[Path],
    name: str,
    *,
    fills: bool,
    written: Callable[[Any], Any],
    beside: Sequence[Path] = (),
) -> Denied | None:
    """Judge the values at the places of a field in a message, write the forced value, and return the denial, or None.

    Args:
        rule: the rule.
        field: the row of the rule's field.
        root: the object with the places, which is changed.
        places: the places of the field. A forced value is set at the first one.
        name: the place of `root` in the message.
        fills: whether a forced value is also set if the client gives no value.
        written: returns a forced value in the form of this wire.
        beside: further places. A forced value removes them, `deny` refuses them, and no other rule compares them.
    """
    found = [spot for path in places for spot in spots(root, path, name)]
    if rule.kind == "force":
        for spot in (*found, *(spot for path in beside for spot in spots(root, path, name))):
            spot.holder.pop(spot.key, None)
        value = written(rule.value) if rule.value is not ABSENT else ABSENT
        if (found or fills) and places and value is not ABSENT:
            put(root, places[0], copied(value))
        return None
    if rule.kind == "deny":
        found += [spot for path in beside for spot in spots(root, path, name)]
    for spot in found:
        denied = _denied(rule, field, spot)
        if denied is not None:
            return denied
    if rule.kind == "prefix" and field.is_text and fills and places:
        _lay_prefix(rule, root, places[0])
    return None


def _denied(rule: Rule, field: Field, spot: Spot) -> Denied | None:
    value = spot.holder[spot.key]
    # The client gives no value. An empty value would unset the server's value.
    if (value is None and field.names(None) == [None]) or (rule.kind == "deny" and value in ("", [], {})):
        del spot.holder[spot.key]
        return None
    if rule.kind == "prefix" and field.is_text and isinstance(value, str):
        if not value.startswith(rule.value):
            spot.holder[spot.key] = rule.value + value
        return None
    names = field.names(value)
    is_permitted = all(rule.permits(each) for each in names)
    return None if is_permitted else Denied(place=spot.name, field=field.name)


def _lay_prefix(rule: Rule, root: object, place: Path) -> None:
    """Set the rule's prefix at a place at which the client gives no value."""
    if len(place) == 1:
        if isinstance(root, dict) and place[0] not in root:
            root[place[0]] = rule.value
        return
    if isinstance(root, list):
        for item in root:
            _lay_prefix(rule, item, place)
    elif isinstance(root, dict):
        if not isinstance(root.get(place[0]), dict | list):
            root[place[0]] = {}
        _lay_prefix(rule, root[place[0]], place[1:])
