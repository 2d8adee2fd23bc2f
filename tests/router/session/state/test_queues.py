"""Short queues, and the newest of many items."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.session.state.queues import NO_ENTRIES, Newest, Queue, dropped, kept, newest, without


@given(st.lists(st.sampled_from(["append", "popleft", "clear"])), st.sampled_from([None, 1, 3]))
def test_a_queue_does_what_a_deque_does(steps, maxlen):
    ours, theirs = Queue(maxlen=maxlen), deque(maxlen=maxlen)
    for number, step in enumerate(steps):
        arguments = [number] if step == "append" else []
        if step != "popleft" or theirs:
            assert getattr(ours, step)(*arguments) == getattr(theirs, step)(*arguments)
        assert list(ours) == list(theirs)


def test_an_item_can_be_added_at_the_front():
    queue = Queue([2])
    queue.appendleft(1)
    assert queue == [1, 2]


def test_the_newest_items_are_kept():
    newest = Newest(maxlen=2)
    for number in (1, 2, 2, 3):
        newest.add(number)
    assert [number in newest for number in (1, 2, 3)] == [False, True, True]


def test_a_tuple_of_the_newest_items_has_a_bound():
    items = ()
    for number in range(5):
        items = newest(items, number, 3)
    assert items == (2, 3, 4)


def test_every_equal_item_leaves_a_tuple():
    assert without((1, 2, 1), 1) == (2,)
    assert without((), 1) == ()


def test_a_mapping_with_one_more_entry_drops_its_oldest_one():
    entries = NO_ENTRIES
    for number in range(4):
        entries = kept(entries, number, str(number), 2)
    assert entries == {2: "2", 3: "3"}
    assert kept(entries, 2, "two", 2) == {2: "two", 3: "3"}


def test_a_mapping_that_becomes_empty_is_the_one_of_all_sessions():
    assert dropped({1: "1", 2: "2"}, 1) == {2: "2"}
    assert dropped({1: "1"}, 1) is NO_ENTRIES
    assert dropped(NO_ENTRIES, 1) is NO_ENTRIES


def test_no_session_writes_to_the_empty_mapping_of_all():
    with pytest.raises(TypeError):
        NO_ENTRIES[1] = 1
