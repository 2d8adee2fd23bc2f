"""The memory of a relay as a value, without a relay."""

import pytest

from router.fronts.relay_value import RelayValue, layout_of
from router.session.packing import Layouts
from router.session.snapshot import SnapshotError, UnknownVersionError


class Memory:
    """A memory with a field that is stored and one that is derived."""

    def __init__(self, limit):
        self.limit = limit
        self.count = 0


LAYOUTS = Layouts([layout_of(Memory, "count", derived="limit")], structs=(), enums=())
VALUE = RelayValue(LAYOUTS, 1)


def test_a_new_memory_is_filled_and_keeps_its_derived_fields():
    memory, twin = Memory(5), Memory(7)
    memory.count = 3
    VALUE.fill(twin, VALUE.written(memory))
    assert (twin.count, twin.limit) == (3, 7)


def test_values_of_another_version_and_damaged_ones_are_refused():
    written = VALUE.written(Memory(5))
    with pytest.raises(UnknownVersionError):
        RelayValue(LAYOUTS, 2).fill(Memory(5), written)
    with pytest.raises(SnapshotError, match="its sum differs"):
        VALUE.fill(Memory(5), written[:-1] + b"\x7f")
    for damaged in (b"", b"nothing"):
        with pytest.raises(SnapshotError, match="damaged"):
            VALUE.fill(Memory(5), damaged)


def test_a_memory_that_has_no_layout_cannot_be_written():
    memory = Memory(5)
    memory.count = object()
    with pytest.raises(SnapshotError, match="object has no layout"):
        VALUE.written(memory)
