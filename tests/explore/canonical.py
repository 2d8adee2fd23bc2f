"""The key of a world: two worlds with one key behave alike.

Ids are renamed in the order of their appearance, and generations are counted from the newest. Times become ranks: only
their order decides which timer expires next. Durations stay.
"""

from __future__ import annotations

import enum
import re
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from router.config.model import Deadlines, Limits
from router.deepgram.messages import Settings
from router.logs.limits import LineLimiter
from router.session.options import Bounds, SessionOptions
from router.session.profile import Profile

LEFT_OUT = frozenset(
    {
        *("_rows", "_commands", "client_text", "inputs", "_turn_log", "latency", "last_error", "unknown_types"),
        *("_count", "_sequence", "sequence", "numbers", "asked", "ignored", "over_bounds", "interrupted_bytes"),
        *("rollovers", "late", "voices", "dropped", "dropped_bytes", "forgotten_bytes", "now_s", "restarts", "unasked"),
        *("clocks", "covered", "stopped_s", "called_s"),
    }
)
"""Attributes that change no later behaviour: counters for operators, the next free number, latency reports."""

ID = re.compile(r"(?:sb_[0-9a-z]+_|resp_|item_|user_|own_|call_|fc_|Said user_|Answer )\d+[.!]?")
TIME_S = 5e8
"""A number above this is a time."""
NAMED = frozenset({"generation", "_generation"})

SPECIAL = LEFT_OUT | NAMED
PLAIN = frozenset({int, bool, type(None)})

Visit = Callable[["Walk", Any], None]


def key_of(world: Any) -> int:
    """Return the key of a world."""
    walk = Walk()
    walk.times.append((-1, world.now_s))
    visit(walk, world)
    tokens = walk.tokens
    ranks = {value: rank for rank, value in enumerate(sorted({value for _, value in walk.times}))}
    for at, value in walk.times[1:]:
        tokens[at] = ranks[value]
    tokens.append(ranks[world.now_s])
    return hash(tuple(tokens))


class Walk:
    """A walk over all values that a world holds."""

    __slots__ = ("names", "seen", "times", "tokens")

    def __init__(self) -> None:
        self.tokens: list[Any] = []
        self.times: list[tuple[int, float]] = []
        """Times, with the places of their ranks among the tokens."""
        self.names: dict[Any, int] = {}
        self.seen: dict[int, int] = {}

    def name(self, value: Any) -> int:
        """Return the new name of an id."""
        return self.names.setdefault(value, 1_000_000 + len(self.names))


def visit(walk: Walk, value: Any) -> None:
    """Append the tokens of a value."""
    kind = type(value)
    (_VISITS.get(kind) or _learn(kind))(walk, value)


def _learn(kind: type) -> Visit:
    if issubclass(kind, enum.Enum):
        found: Visit = lambda walk, value: walk.tokens.append(value.name)  # noqa: E731
    elif issubclass(kind, dict):
        found = _of_dict
    elif issubclass(kind, list | tuple | deque):
        found = _of_list
    elif issubclass(kind, set | frozenset):
        found = _of_set
    else:
        found = _of_objects(kind)
    _VISITS[kind] = found
    return found


def _of_text(walk: Walk, value: str) -> None:
    # An id ends in a number. The look at the last letter is cheaper than the pattern.
    is_id = value[-1:].isdigit() or value[-1:] in (".", "!")
    walk.tokens.append(walk.name(value) if is_id and ID.fullmatch(value) else value)


def _of_float(walk: Walk, value: float) -> None:
    if TIME_S < value < 1e18:
        walk.times.append((len(walk.tokens), value))
    walk.tokens.append(value)


def _of_plain(walk: Walk, value: Any) -> None:
    walk.tokens.append(value)


def _of_bytes(walk: Walk, value: bytes) -> None:
    walk.tokens.append(len(value))


def _of_list(walk: Walk, value: Any) -> None:
    walk.tokens.append(len(value))
    for each in value:
        (_VISITS.get(type(each)) or _learn(type(each)))(walk, each)


def _of_dict(walk: Walk, value: dict[Any, Any]) -> None:
    walk.tokens.append(len(value))
    for key, each in value.items():
        visit(walk, key)
        (_VISITS.get(type(each)) or _learn(type(each)))(walk, each)


def _of_set(walk: Walk, value: Any) -> None:
    walk.tokens.append(len(value))
    for each in sorted(value, key=repr):
        visit(walk, each)


def _of_objects(kind: type) -> Visit:
    """Return the visit of a class: its fields in their order, then the attributes of the instance."""
    fields, name_of_kind = _fields_of(kind), kind.__name__

    def visit_object(walk: Walk, value: Any) -> None:
        tokens = walk.tokens
        seen = walk.seen.get(id(value))
        if seen is not None:
            tokens.append(seen)
            return
        walk.seen[id(value)] = -1 - len(walk.seen)
        tokens.append(name_of_kind)
        for name in fields:
            each = getattr(value, name, None)
            kind = type(each)
            if name in NAMED:
                tokens.append(walk.name(("generation", each)))
            elif kind in PLAIN:
                tokens.append(each)
            else:
                (_VISITS.get(kind) or _learn(kind))(walk, each)
        for name, each in getattr(value, "__dict__", _NOTHING).items():
            kind = type(each)
            if name in SPECIAL:
                if name in NAMED:
                    tokens.append(walk.name(("generation", each)))
            elif kind in PLAIN:
                tokens.append(each)
            else:
                (_VISITS.get(kind) or _learn(kind))(walk, each)

    return visit_object


def _fields_of(kind: type) -> tuple[str, ...]:
    if issubclass(kind, msgspec.Struct):
        return tuple(name for name in kind.__struct_fields__ if name not in LEFT_OUT)
    slots: list[str] = []
    for base in kind.__mro__:
        declared = base.__dict__.get("__slots__", ())
        slots += [declared] if isinstance(declared, str) else list(declared)
    return tuple(name for name in slots if name not in LEFT_OUT and not name.startswith("__"))


def _of_nothing(_walk: Walk, _value: Any) -> None:
    """Pass over a value that never changes during a walk."""


_NOTHING: dict[str, Any] = {}
_VISITS: dict[type, Visit] = {
    str: _of_text,
    float: _of_float,
    int: _of_plain,
    bool: _of_plain,
    type(None): _of_plain,
    bytes: _of_bytes,
    bytearray: _of_bytes,
    list: _of_list,
    tuple: _of_list,
    deque: _of_list,
    dict: _of_dict,
    set: _of_set,
    frozenset: _of_set,
    **dict.fromkeys((SessionOptions, Profile, Deadlines, Limits, Bounds, Settings, LineLimiter), _of_nothing),
}
