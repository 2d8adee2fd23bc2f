"""A session's objects as plain data, and back: the layouts of their classes, and one traversal of them.

Each class has a `Layout`, which names its stored fields. A field that is not stored is named as derived: a new session
sets it from its options. Two references to one object stay references to one object, because a response in progress may
be the request in flight.
"""

from __future__ import annotations

import math
import operator
from collections import OrderedDict, deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.audio.pages import Pages
from router.session.state.queues import EMPTY, Newest, Queue

if TYPE_CHECKING:
    import enum
    from collections.abc import Callable, Iterable, Mapping, Sequence

Plain = Any
"""Values that msgpack writes as they are."""

_LIST, _TUPLE, _DICT, _SET, _QUEUE, _NEWEST, _ORDERED, _ENUM, _STRUCT, _OBJECT, _SEEN, _ARRAY, _DEQUE, _FROZEN = range(
    14
)
"""The tags: the first element of each composite value."""

_ENCODER: Final = msgspec.msgpack.Encoder()


class PackingError(ValueError):
    """A value has no layout, or packed data does not fit the layouts."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The stored and the derived fields of one class."""

    kind: type
    stored: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    """Fields that a new object sets by itself."""
    optional: tuple[str, ...] = ()
    """The names at the end of `stored` whose fields may be None in a new object.

    If the field is None in the new object, it stays None, whatever the data has. If the data has None, the new object
    keeps its own value.
    """
    is_filled: bool = False
    """Whether the object that a new session has made is filled, and no new object takes its place.

    Such an object has derived fields that depend on the session's options.
    """
    times: tuple[str, ...] = ()
    """Stored fields that are moments of the dispatcher's clock, or containers with such moments as values."""
    pack: Callable[[Any, Packer], Plain] | None = None
    """A function that packs an object in a form of its own, instead of its fields."""
    fill: Callable[[Any, Plain, Unpacker], None] | None = None
    """A function that fills a new object from the form that `pack` makes."""


class Layouts:
    """The layouts of all classes that may be stored, and the decoders of the message types among them."""

    def __init__(self, layouts: Sequence[Layout], *, structs: Iterable[type], enums: Iterable[type[enum.Enum]]) -> None:
        self._kinds: list[type] = [*(it.kind for it in layouts)]
        self.layouts: dict[type, Layout] = {it.kind: it for it in layouts}
        self._structs = list(structs)
        self._enums = list(enums)
        self.number: dict[type, int] = {}
        for kinds in (self._kinds, self._structs, self._enums):
            self.number |= {kind: at for at, kind in enumerate(kinds)}
        self.is_struct = frozenset(self._structs)
        self.is_enum = frozenset(self._enums)
        self.fields = [_reader(it.stored) for it in layouts]
        """The functions from an object to its stored fields, by the number of its class."""
        self._decoders: dict[int, msgspec.msgpack.Decoder[Any]] = {}

    def fingerprint(self) -> str:
        """Return a text that changes with each class, stored field, message type or enumeration."""
        kinds = [(it.kind.__qualname__, it.stored) for it in self.layouts.values()]
        structs = [(it.__qualname__, getattr(it, "__struct_fields__", ())) for it in self._structs]
        enums = [(it.__qualname__, [str(member.value) for member in it]) for it in self._enums]
        return repr((kinds, structs, enums))

    def kind(self, number: int) -> type:
        """Return the class of a number."""
        return self._kinds[number]

    def enum(self, number: int, value: Any) -> enum.Enum:
        """Return the member of the enumeration number `number` that has the value `value`."""
        return self._enums[number](value)

    def decode(self, number: int, data: bytes) -> Any:
        """Decode a message of the message type number `number`."""
        decoder = self._decoders.get(number)
        if decoder is None:
            decoder = self._decoders[number] = msgspec.msgpack.Decoder(self._structs[number])
        return decoder.decode(data)


def _reader(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


class Packer:
    """One traversal of objects, from the objects to plain data."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        self._seen: dict[int, int] = {}

    def pack(self, value: Any) -> Plain:
        """Return a value as plain data."""
        kind = type(value)
        if kind in _SCALARS:
            return value
        composite = _COMPOSITE.get(kind)
        if composite is not None:
            return composite(self, value)
        number = self._layouts.number.get(kind)
        if number is None:
            raise PackingError(f"{kind.__qualname__} has no layout")
        if kind in self._layouts.is_struct:
            return [_STRUCT, number, _ENCODER.encode(value)]
        if kind in self._layouts.is_enum:
            return [_ENUM, number, value.value]
        return self._object(value, number)

    def _object(self, value: Any, number: int) -> Plain:
        seen = self._seen.get(id(value))
        if seen is not None:
            return [_SEEN, seen]
        self._seen[id(value)] = len(self._seen)
        layout = self._layouts.layouts[type(value)]
        if layout.pack is not None:
            return [_OBJECT, number, layout.pack(value, self)]
        pack = self.pack
        fields = self._layouts.fields[number](value)
        return [_OBJECT, number, *[field if type(field) in _SCALARS else pack(field) for field in fields]]

    def items(self, tag: int, values: Iterable[Any]) -> Plain:
        """Return the packed form of a container: a list of its tag and its packed elements."""
        pack = self.pack
        return [tag, *(it if type(it) in _SCALARS else pack(it) for it in values)]

    def pairs(self, tag: int, values: Mapping[Any, Any]) -> Plain:
        """Return the packed form of a mapping: a list of its tag, and its packed keys and values in turn."""
        packed = [tag]
        for key, value in values.items():
            packed += (self.pack(key), self.pack(value))
        return packed


_SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})

_COMPOSITE: Final[dict[type, Callable[[Packer, Any], Plain]]] = {
    list: lambda packer, value: packer.items(_LIST, value),
    tuple: lambda packer, value: packer.items(_TUPLE, value),
    dict: lambda packer, value: packer.pairs(_DICT, value),
    MappingProxyType: lambda packer, value: packer.pairs(_DICT, value),
    # Sort the elements, so that equal states have equal snapshots.
    set: lambda packer, value: packer.items(_SET, sorted(value, key=repr)),
    frozenset: lambda packer, value: packer.items(_FROZEN, sorted(value, key=repr)),
    Queue: lambda packer, value: [_QUEUE, value.maxlen, *map(packer.pack, value)],
    Newest: lambda packer, value: [_NEWEST, value.maxlen, *map(packer.pack, value)],
    deque: lambda packer, value: [_DEQUE, value.maxlen, *map(packer.pack, value)],
    OrderedDict: lambda packer, value: packer.pairs(_ORDERED, value),
    bytearray: lambda _packer, value: [_ARRAY, bytes(value)],
    Pages: lambda _packer, value: [_ARRAY, value[:]],
}


class Unpacker:
    """One traversal of plain data, from the data to objects.

    `shift_s` is added to each stored time, because the process that packed the data may have had another clock.
    """

    def __init__(self, layouts: Layouts, shift_s: float = 0.0) -> None:
        self._layouts = layouts
        self._shift_s = shift_s
        self._seen: list[Any] = []

    def unpack(self, packed: Plain, current: Any = None) -> Any:
        """Return the value of plain data.

        If the value is an object whose layout is `is_filled`, fill `current`, which has to be of the same class, and
        return it. Make any other object anew.
        """
        if type(packed) is not list:
            return packed
        tag = packed[0]
        if tag == _OBJECT:
            return self._object(packed, current)
        return _UNPACK[tag](self, packed)

    def shift(self, moment: Any) -> Any:
        """Convert a stored time from the clock of the process that packed it to this process's clock.

        If `moment` is a container of times, convert each of them. None, 0 and infinity stay, because they are no times.
        """
        shift_s = self._shift_s
        if not shift_s or moment is None:
            return moment
        if isinstance(moment, dict):
            return {key: self.shift(value) for key, value in moment.items()}
        if isinstance(moment, tuple):
            return tuple(map(self.shift, moment))
        return moment + shift_s if math.isfinite(moment) and moment else moment

    def _object(self, packed: list[Any], current: Any) -> Any:
        kind = self._layouts.kind(packed[1])
        layout = self._layouts.layouts[kind]
        if issubclass(kind, msgspec.Struct | tuple):
            return self._whole(kind, layout, packed)
        # An object without derived fields is made anew, because a new session may hold one object in two places.
        if not layout.is_filled:
            made = kind.__new__(kind)
        elif type(current) is kind:
            made = current
        else:
            raise PackingError(f"a new session has no {kind.__qualname__}")
        self._seen.append(made)
        if layout.fill is not None:
            layout.fill(made, packed[2], self)
            return made
        for name, value in zip(layout.stored, packed[2:], strict=True):
            if name in layout.optional and (value is None or getattr(made, name) is None):
                continue
            found = self.unpack(value, getattr(made, name, None)) if type(value) is list else value
            setattr(made, name, self.shift(found) if name in layout.times else found)
        return made

    def _whole(self, kind: Any, layout: Layout, packed: list[Any]) -> Any:
        # A frozen object cannot change, so it is made when its fields are known. No field of it refers back to it.
        at = len(self._seen)
        self._seen.append(None)
        fields = {name: self.unpack(value) for name, value in zip(layout.stored, packed[2:], strict=True)}
        self._seen[at] = made = kind(**fields)
        return made

    def pairs(self, packed: list[Any]) -> Iterable[tuple[Any, Any]]:
        """Yield the keys and values of a packed mapping."""
        elements = iter(packed[1:])
        return ((self.unpack(key), self.unpack(value)) for key, value in zip(elements, elements, strict=True))

    def items(self, packed: list[Any], begin: int = 1) -> list[Any]:
        """Return the unpacked elements of a packed container. Its elements begin at the index `begin`."""
        return [self.unpack(it) if type(it) is list else it for it in packed[begin:]]

    def struct(self, packed: list[Any]) -> Any:
        """Return a packed message."""
        return self._layouts.decode(packed[1], packed[2])

    def member(self, packed: list[Any]) -> enum.Enum:
        """Return a packed member of an enumeration."""
        return self._layouts.enum(packed[1], packed[2])

    def seen(self, packed: list[Any]) -> Any:
        """Return the object that an earlier element of the data has already become."""
        return self._seen[packed[1]]


def _newest(unpacker: Unpacker, packed: list[Any]) -> Newest[Any]:
    made: Newest[Any] = Newest(maxlen=packed[1])
    made.update(dict.fromkeys(unpacker.items(packed, 2)))
    return made


_UNPACK: Final[dict[int, Callable[[Unpacker, list[Any]], Any]]] = {
    _LIST: lambda unpacker, packed: unpacker.items(packed),
    _TUPLE: lambda unpacker, packed: tuple(unpacker.items(packed)),
    _DICT: lambda unpacker, packed: dict(unpacker.pairs(packed)),
    _SET: lambda unpacker, packed: set(unpacker.items(packed)),
    _FROZEN: lambda unpacker, packed: frozenset(unpacker.items(packed)) or EMPTY,
    _QUEUE: lambda unpacker, packed: Queue(unpacker.items(packed, 2), maxlen=packed[1]),
    _NEWEST: _newest,
    _DEQUE: lambda unpacker, packed: deque(unpacker.items(packed, 2), maxlen=packed[1]),
    _ORDERED: lambda unpacker, packed: OrderedDict(unpacker.pairs(packed)),
    _ENUM: Unpacker.member,
    _STRUCT: Unpacker.struct,
    _SEEN: Unpacker.seen,
    _ARRAY: lambda _unpacker, packed: bytearray(packed[1]),
}


def fields_of(value: Any) -> set[str]:
    """Return the names of all fields of an object."""
    if isinstance(value, msgspec.Struct):
        return set(value.__struct_fields__)
    if isinstance(value, tuple):
        return set(getattr(value, "_fields", ()))
    slots = (name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()))
    return {*slots, *getattr(value, "__dict__", {})} - {"__dict__", "__weakref__"}
