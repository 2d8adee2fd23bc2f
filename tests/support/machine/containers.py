"""The containers of a machine's memory: their sizes, and events that are repeated with new ids."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

SOME = 40
"""The entries of a long container into which the walk goes. Its other entries are like them."""

_IDS = re.compile(r'"(item_id|call_id|id|response_id|event_id|previous_item_id|approval_request_id)":"([^"]*)"')


def renamed(event: dict[str, Any], number: int) -> str:
    """Return an event as text, with ids that no other number gives."""
    return _IDS.sub(lambda found: f'"{found[1]}":"{found[2]}_{number}"', orjson.dumps(event).decode())


def sizes(root: object) -> dict[str, int]:
    """Return the number of entries of each container that `root` holds, by its place."""
    found: dict[str, int] = {}
    seen: dict[int, object] = {}
    waiting: list[tuple[object, str]] = [(root, type(root).__name__)]
    while waiting:
        each, place = waiting.pop()
        if id(each) in seen or each is None or isinstance(each, (str, bytes, int, float, type)) or callable(each):
            continue
        seen[id(each)] = each
        if isinstance(each, Mapping):
            found[place] = max(found.get(place, 0), len(each))
            waiting += ((value, f"{place}[]") for value in list(each.values())[:SOME])
        if isinstance(each, (list, tuple, set, frozenset, deque)):
            found[place] = max(found.get(place, 0), len(each))
            waiting += ((value, f"{place}[]") for value in list(each)[:SOME])
        waiting += ((value, f"{place}.{name}") for name, value in _fields_of(each))
    return found


def _fields_of(each: object) -> Iterator[tuple[str, object]]:
    names = {*getattr(each, "__dict__", ()), *getattr(each, "__struct_fields__", ())}
    for kind in type(each).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
    for name in names:
        try:
            yield name, getattr(each, name)
        except AttributeError:
            continue
