"""Objects as plain data, and back."""

import enum
import math
from collections import OrderedDict, deque

import msgspec
import pytest

from router.session.packing import Layout, Layouts, Packer, PackingError, Unpacker, fields_of
from router.session.state.queues import Newest, Queue


class Colour(enum.Enum):
    RED = "red"


class Note(msgspec.Struct, frozen=True):
    text: str


class Node:
    def __init__(self):
        self.other = None
        self.value = None
        self.at_s = 0.0


LAYOUTS = Layouts(
    [Layout(kind=Node, stored=("other", "value", "at_s"), times=("at_s",))], structs=[Note], enums=[Colour]
)


def moved(value, shift_s=0.0):
    data = msgspec.msgpack.encode(Packer(LAYOUTS).pack(value))
    return Unpacker(LAYOUTS, shift_s).unpack(msgspec.msgpack.decode(data))


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.5,
        math.inf,
        "text",
        b"bytes",
        bytearray(b"more"),
        [1, [2, []]],
        (1, ("a", None)),
        {("r", "c"): {1, 2}, None: []},
        OrderedDict({3: "c", 1: "a"}),
        Colour.RED,
        Note("word"),
        [Note("a"), Colour.RED, {"k": (b"",)}],
    ],
)
def test_a_value_comes_back_with_its_type(value):
    found = moved(value)
    assert found == value
    assert type(found) is type(value)


def test_bounded_containers_keep_their_bound():
    queue, newest, ring = Queue([1, 2], maxlen=2), Newest(maxlen=2), deque([1], maxlen=3)
    newest.update({"a": None, "b": None})
    found_queue, found_newest, found_ring = moved([queue, newest, ring])
    found_queue.append(3)
    found_newest.add("c")
    assert (list(found_queue), list(found_newest), found_ring.maxlen) == ([2, 3], ["b", "c"], 3)


def test_two_references_to_one_object_and_a_cycle_stay_one_object():
    first, second = Node(), Node()
    first.other, second.other, first.value = second, first, second
    found = moved(first)
    assert found.other.other is found
    assert found.value is found.other


def test_a_moment_moves_with_the_clock_and_an_unset_one_does_not():
    node = Node()
    node.at_s, node.value = 10.0, 10.0
    found = moved(node, shift_s=5.0)
    assert (found.at_s, found.value) == (15.0, 10.0)
    assert moved(Node(), shift_s=5.0).at_s == 0.0


def test_an_object_without_a_layout_is_refused():
    with pytest.raises(PackingError, match="object has no layout"):
        moved([object()])


def test_the_fields_of_an_object_are_those_of_its_slots_its_dict_or_its_struct():
    assert fields_of(Node()) == {"other", "value", "at_s"}
    assert fields_of(Note("a")) == {"text"}
    assert fields_of(Queue()) == {"_maxlen"}
