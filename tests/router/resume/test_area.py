"""The snapshots of lost calls in the memory of a server."""

import uuid

import pytest

from router.resume.area import MOST_BYTES, SharedSnapshots, TooLargeError
from tests.support.processes.forked import status_of_fork

ONE, TWO, THREE = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


def test_a_snapshot_is_taken_once():
    kept = SharedSnapshots(slots=2)
    assert kept.take(ONE) is None
    assert kept.put(ONE, b"words", 60.0)
    assert kept.take(TWO) is None
    assert kept.take(ONE) == b"words"
    assert kept.take(ONE) is None


def test_a_snapshot_expires():
    kept = SharedSnapshots(slots=1)
    kept.put(ONE, b"words", 0.0)
    assert kept.take(ONE) is None
    assert kept.put(TWO, b"others", 60.0), "an expired one takes nobody's place"


def test_the_one_that_expires_first_gives_way_and_the_caller_learns_of_it():
    kept = SharedSnapshots(slots=2)
    kept.put(ONE, b"1", 50.0)
    kept.put(TWO, b"2", 60.0)
    assert not kept.put(THREE, b"3", 60.0)
    assert [kept.take(it) for it in (ONE, TWO, THREE)] == [None, b"2", b"3"]


def test_a_snapshot_that_is_too_large_is_refused():
    kept = SharedSnapshots(slots=1)
    kept.put(ONE, bytes(MOST_BYTES), 60.0)
    assert len(kept.take(ONE)) == MOST_BYTES
    with pytest.raises(TooLargeError, match=str(MOST_BYTES + 1)):
        kept.put(ONE, bytes(MOST_BYTES + 1), 60.0)


def test_a_taken_snapshot_leaves_no_word_in_the_memory():
    kept = SharedSnapshots(slots=1)
    kept.put(ONE, b"secret words", 60.0)
    kept.take(ONE)
    assert b"secret" not in kept._memory[:]


@pytest.mark.slow
def test_the_workers_share_the_snapshots():
    kept = SharedSnapshots(slots=1)
    assert status_of_fork(lambda: kept.put(ONE, b"words", 60.0)) in (0, 1)
    assert kept.take(ONE) == b"words"
