"""The ids that an upstream and the client use for the same item, response or call.

Both ids are equal, with two exceptions. An upstream may give an id that the client knows for something else. Another
upstream may give another id to something that the client knows, such as speech that it hears again.
"""

from __future__ import annotations

from typing import Any, Final

from router.fronts.realtime.wire import Event, Fields
from router.session.state.queues import Newest

_IDS: Final = ("item_id", "previous_item_id", "response_id", "call_id")
"""Fields of an event that hold an id."""

_MARK: Final = "_switchboard_"

REMARK: Final = "remark"
"""The beginning of the ids of requests for a text of the router's own configuration."""
ASK: Final = "ask"
"""The beginning of the ids of events that repeat a request for a response."""

AGAIN: Final = "again"
"""The beginning of the ids of events that repeat an item."""

MAX_KNOWN: Final = 4000
"""The most ids, and the most pairs of ids, that are remembered.

With the ids the relay finds an id that another upstream gives a second time.
"""


def prefix_of(kind: str) -> str:
    """Return the beginning of the router's own ids of a kind."""
    return f"{kind}{_MARK}"


class Names:
    """The pairs of an upstream's id and the client's id that differ in one session, and the router's own ids."""

    def __init__(self) -> None:
        self._to_client: dict[str, str] = {}
        self._to_upstream: dict[str, str] = {}
        self._count = 0
        self._known: Newest[str] = Newest(maxlen=MAX_KNOWN)
        """Ids of items, responses and calls of earlier upstreams."""
        self._current: Newest[str] = Newest(maxlen=MAX_KNOWN)

    def new(self, kind: str) -> str:
        """Return an id of the router's own, which no upstream gives."""
        self._count += 1
        return f"{prefix_of(kind)}{self._count:x}"

    def is_own(self, name: str) -> bool:
        """Whether an id is one of the router's own."""
        return _MARK in name

    # Ids that are given again.

    def begin(self) -> None:
        """Begin with another upstream: forget all pairs, and count the previous upstream's ids as earlier ids."""
        for known in self._current:
            self._known.add(known)
        self._current.clear()
        self._to_client.clear()
        self._to_upstream.clear()

    def is_known(self, name: str) -> bool:
        """Whether the upstream in use gave the id to an item, a response or a call."""
        return name in self._current

    def is_taken(self, name: str) -> bool:
        """Whether an earlier upstream gave this id to an item, a response or a call."""
        return name in self._known

    def note(self, name: str) -> None:
        """Record the id of an item, a response or a call of the upstream in use."""
        self._current.add(name)

    def match(self, upstream_id: str, client_id: str) -> None:
        """Record that the upstream's id and the client's id name the same item, response or call."""
        for names, key, value in (
            (self._to_client, upstream_id, client_id),
            (self._to_upstream, client_id, upstream_id),
        ):
            names[key] = value
            if len(names) > MAX_KNOWN:
                del names[next(iter(names))]

    # Translation.

    def client_id(self, name: str) -> str:
        """Return the client's id for an id of the upstream's. Without a match both ids are the same."""
        return self._to_client.get(name, name)

    def upstream_id(self, name: str) -> str:
        """Return the upstream's id for an id of the client's. Without a match both ids are the same."""
        return self._to_upstream.get(name, name)

    def is_client_only(self, name: str) -> bool:
        """Whether the upstream uses this id of the client's for something else."""
        return name in self._to_client and self._to_client[name] != name

    def to_client(self, event: Event) -> None:
        """Replace the ids in an event of the upstream's by the client's ids."""
        if self._to_client:
            event.is_changed |= _rename(event.fields, self._to_client)

    def to_upstream(self, event: Event) -> Event:
        """Return a copy of a client's event with the upstream's ids, or the event itself if no ids differ.

        The event keeps the client's ids, because another upstream may get it again.
        """
        if not self._to_upstream:
            return event
        copied = Event(event.kind, _copied(event.fields), event.text)
        copied.is_changed = _rename(copied.fields, self._to_upstream) or event.is_changed
        return copied


_LISTS: Final = ("output", "input")
"""The fields of a response with its items."""


def _rename(fields: Fields, names: dict[str, str]) -> bool:
    is_changed = _rename_in(fields, _IDS, names)
    for nested in _objects(fields):
        is_changed |= _rename_in(nested, ("id", "call_id"), names)
    return is_changed


def _copied(fields: Fields) -> Fields:
    """Copy an event and its objects that `_objects` returns. The rest is shared, because 15 MB of audio are costly."""
    copied = dict(fields)
    for name in ("item", "response"):
        if isinstance(copied.get(name), dict):
            copied[name] = dict(copied[name])
    response = copied.get("response")
    if isinstance(response, dict):
        for name in _LISTS:
            items = response.get(name)
            if isinstance(items, list):
                response[name] = [dict(each) if isinstance(each, dict) else each for each in items]
    return copied


def _objects(fields: Fields) -> list[Fields]:
    """Return the objects of an event that have an id: its item, its response, and the response's items."""
    response = fields.get("response")
    found = [fields.get("item"), response]
    if isinstance(response, dict):
        for name in _LISTS:
            items = response.get(name)
            found += items if isinstance(items, list) else []
    return [each for each in found if isinstance(each, dict)]


def _rename_in(fields: Fields, keys: tuple[str, ...], names: dict[str, str]) -> bool:
    is_changed = False
    for key in keys:
        value: Any = fields.get(key)
        if isinstance(value, str) and value in names:
            fields[key] = names[value]
            is_changed = True
    return is_changed
