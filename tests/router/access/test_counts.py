"""The present sessions of every worker, in shared memory."""

import pytest

from router.access import counts
from router.access.counts import Counts, Seats
from tests.support.processes.forked import status_of_fork


@pytest.fixture
def shared():
    return Counts(2)


def keys(shared, *names):
    return [shared.key_of("address", name) for name in names]


def test_sessions_are_counted_over_all_workers(shared):
    one, other = Seats(shared, 0), Seats(shared, 1)
    a, b = keys(shared, "a", "b")
    for seats in (one, one, other):
        seats.claim(a, shared.key_of("principal", "ada"))
    other.claim(b, None)
    present = shared.present()
    assert (present.sessions, present.of_address(a), present.of_address(b), present.pending()) == (4, 3, 1, 4)
    assert present.of_principal(shared.key_of("principal", "ada")) == 3
    assert present.of_principal(shared.key_of("principal", "bob")) == 0


def test_a_session_that_ends_gives_its_cell_to_another_and_only_once(shared):
    seats = Seats(shared, 0)
    a, b = keys(shared, "a", "b")
    cells = [seats.claim(a, None) for _ in range(3)]
    seats.release(cells[1])
    seats.release(cells[1])
    present = shared.present()
    assert (present.sessions, present.of_address(a)) == (2, 2)
    assert seats.claim(b, None) == cells[1]
    present = shared.present()
    assert (present.sessions, present.of_address(a), present.of_address(b)) == (3, 2, 1)


def test_a_session_with_settings_waits_no_longer(shared):
    seats = Seats(shared, 0)
    cell = seats.claim(*keys(shared, "a"), None)
    seats.settle(cell)
    present = shared.present()
    assert (present.pending(), present.sessions) == (0, 1)
    seats.release(cell)
    seats.settle(cell)
    present = shared.present()
    assert (present.pending(), present.sessions) == (0, 0)


def test_a_worker_that_has_ended_leaves_nothing(shared):
    one, other = Seats(shared, 0), Seats(shared, 1)
    (a,) = keys(shared, "a")
    one.claim(a, None)
    other.claim(a, None)
    shared.clear(0)
    present = shared.present()
    assert (present.sessions, present.of_address(a), present.pending()) == (1, 1, 1)
    Seats(shared, 1)
    present = shared.present()
    assert (present.sessions, present.of_address(a), present.pending()) == (0, 0, 0)


def test_a_full_worker_takes_no_more(shared, monkeypatch):
    monkeypatch.setattr(counts, "MAX_SESSIONS", 2)
    seats = Seats(shared, 0)
    (a,) = keys(shared, "a")
    cells = [seats.claim(a, None) for _ in range(3)]
    assert cells == [0, 1, None]
    seats.release(0)
    assert seats.claim(a, None) == 0


@pytest.mark.slow
def test_another_process_sees_the_sessions(shared):
    (a,) = keys(shared, "a")
    assert status_of_fork(lambda: Seats(shared, 1).claim(a, None)) == 0
    assert shared.present().of_address(a) == 1
