"""The workers of one server: rows in memory that is shared over a fork."""

import pytest

from router.web.scoreboard import SILENT_S, Row, Scoreboard, Stage
from tests.support.processes.forked import repeating_fork, status_of_fork

NOW_S = 1000.0


def row(pid, stage=Stage.SERVING, **more):
    return Row(**{"pid": pid, "stage": stage, "seen_s": NOW_S, **more})


@pytest.fixture
def scoreboard():
    return Scoreboard(3)


def test_a_scoreboard_is_empty_at_first(scoreboard):
    assert scoreboard.rows() == []
    assert scoreboard.problems(NOW_S) == []
    assert scoreboard.least_load(NOW_S, except_pid=0) is None
    assert not scoreboard.is_ending


def test_a_worker_has_a_slot_from_before_its_fork_until_it_is_stopped(scoreboard):
    slot = scoreboard.take_slot(NOW_S)
    assert [it.stage for it in scoreboard.rows()] == [Stage.BOOTING]
    scoreboard.write(slot, row(7, is_ready=True, sessions=3, load=4))
    assert scoreboard.rows() == [row(7, is_ready=True, sessions=3, load=4)]
    scoreboard.free_slot(slot, 7, NOW_S, was_stopped=True)
    assert scoreboard.rows() == []


def test_the_least_used_worker_that_is_ready_counts(scoreboard):
    assert scoreboard.least_used(NOW_S) is None
    for pid, used, is_ready in ((7, 0.8, True), (8, 0.2509, True), (9, 0.1, False)):
        scoreboard.write(scoreboard.take_slot(NOW_S), row(pid, used=used, is_ready=is_ready))
    assert scoreboard.least_used(NOW_S) == 0.251
    scoreboard.write(1, row(8, used=1e9, is_ready=True))
    assert scoreboard.least_used(NOW_S) == 0.8


def test_a_worker_that_ends_by_itself_is_dead_until_another_takes_its_slot(scoreboard):
    first, second = scoreboard.take_slot(NOW_S), scoreboard.take_slot(NOW_S)
    scoreboard.write(first, row(7))
    scoreboard.free_slot(second, 8, NOW_S, was_stopped=False)
    assert scoreboard.problems(NOW_S) == ["worker 8 is dead"]
    assert scoreboard.take_slot(NOW_S) == second
    assert scoreboard.problems(NOW_S) == []


def test_a_worker_that_has_not_written_for_long_is_a_problem(scoreboard):
    scoreboard.write(scoreboard.take_slot(NOW_S), row(7))
    assert scoreboard.problems(NOW_S + SILENT_S) == []
    assert scoreboard.problems(NOW_S + SILENT_S + 1) == ["worker 7 has not answered for 6 s"]


def test_the_least_load_is_that_of_another_worker_that_serves_and_answers(scoreboard):
    for row_ in (row(1, load=5), row(2, Stage.DRAINING, load=0), row(3, load=1, seen_s=NOW_S - 60)):
        scoreboard.write(scoreboard.take_slot(NOW_S), row_)
    assert scoreboard.least_load(NOW_S, except_pid=3) == 5
    assert scoreboard.least_load(NOW_S, except_pid=1) is None


def test_the_server_is_ready_if_a_serving_worker_is_and_the_end_has_not_begun(scoreboard):
    for row_ in (row(1), row(2, Stage.DRAINING, is_ready=True), row(3, is_ready=True, seen_s=NOW_S - 60)):
        scoreboard.write(scoreboard.take_slot(NOW_S), row_)
    assert not scoreboard.is_any_ready(NOW_S)
    scoreboard.write(0, row(1, is_ready=True))
    assert scoreboard.is_any_ready(NOW_S)
    scoreboard.is_ending = True
    assert not scoreboard.is_any_ready(NOW_S)


def test_no_slot_is_given_where_all_are_taken(scoreboard):
    assert [scoreboard.take_slot(NOW_S) for _ in range(4)] == [0, 1, 2, None]


@pytest.mark.slow
def test_a_parent_reads_the_row_that_its_child_writes(scoreboard):
    slot = scoreboard.take_slot(NOW_S)

    def write():
        scoreboard.write(slot, row(7, sessions=2))
        scoreboard.is_ending = True

    assert status_of_fork(write) == 0
    assert scoreboard.rows() == [row(7, sessions=2)]
    assert scoreboard.is_ending


@pytest.mark.slow
def test_a_row_that_its_worker_writes_just_now_is_never_read_as_an_old_one(scoreboard):
    slot = scoreboard.take_slot(NOW_S)
    scoreboard.write(slot, row(7))
    with repeating_fork(lambda: scoreboard.write(slot, row(7))):
        read = {it.seen_s for _ in range(100_000) for it in scoreboard.rows()}
    assert read == {NOW_S}
