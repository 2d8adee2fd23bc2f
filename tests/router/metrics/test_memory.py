"""Rows of numbers in shared memory: written by one process, read by others."""

import pytest

from router.metrics import memory
from router.metrics.memory import Segment, Segments
from tests.support.processes.forked import repeating_fork, status_of_fork


def numbers(segment):
    return {key: values for key, _, values in segment.rows()}


def test_a_row_is_zeros_and_counts():
    segment = Segment()
    place = segment.add_row(b"a", 1)
    other = segment.add_row(b"a longer key", 3)
    assert numbers(segment) == {b"a": (0.0,), b"a longer key": (0.0, 0.0, 0.0)}
    segment.add(place, 2.5)
    segment.add(place, 1)
    segment.set(other + 8, 7)
    assert numbers(segment) == {b"a": (3.5,), b"a longer key": (0.0, 7.0, 0.0)}


def test_the_places_of_rows_are_found_again():
    segment = Segment()
    places = [segment.add_row(key, 2) for key in (b"a", b"bb", b"")]
    assert [place for _, place, _ in segment.rows()] == places


def test_a_full_segment_takes_no_row_and_keeps_the_others(monkeypatch):
    segment = Segment()
    monkeypatch.setattr(memory, "SEGMENT_BYTES", 64)
    assert segment.add_row(b"first", 2)
    assert segment.add_row(b"second", 2) is None
    assert list(numbers(segment)) == [b"first"]


def test_segments_do_not_touch_each_other():
    segments = Segments(3)
    for at, segment in enumerate(segments):
        segment.set(segment.add_row(b"n", 1), at)
    assert [numbers(segments[at]) for at in range(3)] == [{b"n": (0.0,)}, {b"n": (1.0,)}, {b"n": (2.0,)}]


@pytest.mark.slow
def test_a_number_that_a_child_process_wrote_is_read_after_its_end():
    segment = Segments(1)[0]
    place = segment.add_row(b"n", 1)

    def write():
        segment.add(place, 5)
        segment.add_row(b"of the child", 1)

    assert status_of_fork(write) == 0
    assert numbers(segment) == {b"n": (5.0,), b"of the child": (0.0,)}


@pytest.mark.slow
def test_a_counter_that_changes_just_now_is_never_read_as_zero():
    segment = Segment()
    place = segment.add_row(b"counter", 1)
    segment.add(place, 1)

    def count():
        segment.add(place, 1)
        segment.set(place, 1)

    with repeating_fork(count):
        read = {values for _ in range(100_000) for values in numbers(segment).values()}
    assert read <= {(1.0,), (2.0,)}
