"""The containers of a machine's memory: their sizes, and events that are repeated with new ids."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

SOME = 40
"""The entries of a long container into which `sizes` goes. Its other entries are like them."""

_IDS = re.compile(r'"(item_id|call_id|id|response_id|event_id|previous_item_id|approval_request_id)":"([^"]*)"')
_TEXTS = {"arguments", "code", "content", "instructions", "message", "name", "output", "prompt", "text", "transcript"}


def renamed(event: dict[str, Any], number: int) -> str:
    """Return an event as text, with ids that no other number gives."""
    return _IDS.sub(lambda found: f'"{found[1]}":"{found[2]}_{number}"', orjson.dumps(event).decode())


def long(value: Any, text: str) -> Any:
    """Return an event with `text` in place of each of its own texts."""
    if isinstance(value, list):
        return [long(each, text) for each in value]
    if not isinstance(value, dict):
        return value
    is_audio = "audio.delta" in str(value.get("type"))
    names = _TEXTS if is_audio else {*_TEXTS, "delta"}
    return {name: text if name in names and isinstance(each, str) else long(each, text) for name, each in value.items()}


def sizes(root: object) -> dict[str, int]:
    """Return the number of entries of the largest container at each place in `root`."""
    found: dict[str, int] = {}
    for each, place in _walk(root, SOME):
        if isinstance(each, (Mapping, list, tuple, set, frozenset, deque)):
            found[place] = max(found.get(place, 0), len(each))
    return found


def chars(root: object) -> Counter[str]:
    """Return the length of all texts at each place in `root`."""
    found: Counter[str] = Counter()
    for each, place in _walk(root, None):
        if isinstance(each, (str, bytes, bytearray)):
            found[place] += len(each)
    return found


def _walk(root: object, some: int | None) -> Iterator[tuple[object, str]]:
    """Yield each object that `root` holds, with its place, and `some` entries of each container."""
    seen: dict[int, object] = {}
    waiting: list[tuple[object, str]] = [(root, type(root).__name__)]
    while waiting:
        each, place = waiting.pop()
        if id(each) in seen or each is None or isinstance(each, (int, float, type)):
            continue
        seen[id(each)] = each
        yield each, place
        if isinstance(each, (str, bytes, bytearray)) or callable(each):
            continue
        if isinstance(each, Mapping):
            waiting += ((name, f"{place}{{}}") for name in [*each][:some])
            waiting += ((value, f"{place}[]") for value in [*each.values()][:some])
        elif isinstance(each, (list, tuple, set, frozenset, deque)):
            waiting += ((value, f"{place}[]") for value in [*each][:some])
        waiting += ((value, f"{place}.{name}") for name, value in _fields_of(each))


def _fields_of(each: object) -> Iterator[tuple[str, object]]:
    names = {*getattr(each, "__dict__", ()), *getattr(each, "__struct_fields__", ())}
    for kind in type(each).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
    for name in sorted(names):
        try:
            yield name, getattr(each, name)
        except AttributeError:
            continue
