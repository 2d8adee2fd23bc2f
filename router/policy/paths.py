"""Places in a JSON message: how to find them, and how to set them.

If a path leads through a list, it continues in each element of the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Path: TypeAlias = tuple[str, ...]
Fields: TypeAlias = dict[str, Any]


class Spot(NamedTuple):
    """A place that is present in a message: a key of an object."""

    holder: Fields
    key: str
    name: str
    """The place as an error names it to a reader, such as `agent.think[0].prompt`."""


def spots(root: object, path: Path, name: str) -> Iterator[Spot]:
    """Yield each place in `root` to which a path leads. `name` is the place of `root` itself."""
    if isinstance(root, list):
        for index, item in enumerate(root):
            yield from spots(item, path, f"{name}[{index}]")
    elif isinstance(root, dict) and path[0] in root:
        key, here = path[0], f"{name}.{path[0]}" if name else path[0]
        if len(path) == 1:
            yield Spot(root, key, here)
        else:
            yield from spots(root[key], path[1:], here)


def put(root: object, path: Path, value: object) -> None:
    """Set a value at each place to which a path leads. Make the missing objects on the way."""
    if isinstance(root, list):
        if not root:
            root.append({})
        for item in root:
            put(item, path, value)
    elif isinstance(root, dict):
        if len(path) == 1:
            root[path[0]] = value
            return
        if not isinstance(root.get(path[0]), dict | list):
            root[path[0]] = {}
        put(root[path[0]], path[1:], value)


def drop_null(root: Fields, path: Path) -> None:
    """Remove a null that stands for an object on the way to a field, because the null would reset that field."""
    holder: object = root
    for key in path[:-1]:
        if not isinstance(holder, dict) or key not in holder:
            return
        if holder[key] is None:
            del holder[key]
            return
        holder = holder[key]


def copied(value: Any) -> Any:
    """Return a copy of a JSON value, which shares no list and no object with that value."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value
