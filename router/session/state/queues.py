"""Small containers with a bound. Nearly all of them are empty nearly all the time, in every session of the process."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

EMPTY: Final[frozenset[Any]] = frozenset()
"""The empty set that all sessions share. A separate one takes 216 bytes, even an empty frozenset."""

NO_ENTRIES: Final[Mapping[Any, Any]] = MappingProxyType({})
"""The empty mapping that all sessions share. The first entry replaces it by a mapping of the session's own."""


def newest(items: tuple[T, ...], item: T, maxlen: int) -> tuple[T, ...]:
    """Return the last `maxlen` items of `items` and `item`, which comes last. An empty tuple takes no memory."""
    return (*items, item)[-maxlen:]


def without(items: Iterable[T], item: object) -> tuple[T, ...]:
    """Return the items that differ from `item`."""
    return tuple(it for it in items if it != item)


def kept(entries: Mapping[K, V], key: K, value: V, maxlen: int | None = None) -> Mapping[K, V]:
    """Return a mapping with one more entry. Beyond `maxlen` entries the oldest one leaves."""
    more = {**entries, key: value}
    if maxlen is not None and len(more) > maxlen:
        del more[next(iter(more))]
    return more


def dropped(entries: Mapping[K, V], key: object) -> Mapping[K, V]:
    """Return a mapping without the entry of `key`, if there is one."""
    if key not in entries:
        return entries
    return {it: value for it, value in entries.items() if it != key} or NO_ENTRIES


class Queue(list[T], Generic[T]):
    """A short queue with the interface of a deque. A deque itself takes 0.7 kB even when it is empty."""

    __slots__ = ("_maxlen",)

    def __init__(self, items: Iterable[T] = (), *, maxlen: int | None = None) -> None:
        super().__init__(items)
        self._maxlen = maxlen

    @property
    def maxlen(self) -> int | None:
        """The most items that the queue holds."""
        return self._maxlen

    def append(self, item: T) -> None:
        """Add an item at the end. A full queue drops its first item."""
        if len(self) == self._maxlen:
            del self[0]
        super().append(item)

    def appendleft(self, item: T) -> None:
        """Add an item at the front."""
        self.insert(0, item)

    def popleft(self) -> T:
        """Remove and return the first item."""
        return self.pop(0)


class Newest(dict[T, None], Generic[T]):
    """A set of the `maxlen` items that were added last. An empty dict is smaller than an empty set."""

    __slots__ = ("_maxlen",)

    def __init__(self, *, maxlen: int) -> None:
        super().__init__()
        self._maxlen = maxlen

    @property
    def maxlen(self) -> int:
        """The most items that the set holds."""
        return self._maxlen

    def add(self, item: T) -> None:
        """Add an item as the newest. An item that the set holds already keeps its place."""
        self[item] = None
        if len(self) > self._maxlen:
            del self[next(iter(self))]
