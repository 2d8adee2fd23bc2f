"""What workers know of each other: rows in memory that is shared over a fork."""

import os

import pytest

from router.web.scoreboard import SILENT_S, Row, Scoreboard, Stage

NOW_S = 1000.0


def row(pid, stage=Stage.SERVING, **more):
    return Row(**{"pid": pid, "stage": stage, "seen_s": NOW_S, **more})


@pytest.fixture
def board():
    return Scoreboard(3)


def test_a_board_is_empty_at_first(board):
    assert board.rows() == []
    assert board.problems(NOW_S) == []
    assert board.least_load(NOW_S, but_for=0) is None
    assert not board.is_ending


def test_a_worker_has_a_place_from_before_it_is_forked_until_it_was_told_to_end(board):
    place = board.take_slot(NOW_S)
    assert [it.stage for it in board.rows()] == [Stage.BOOTING]
    board.write(place, row(7, is_ready=True, sessions=3, load=4))
    assert board.rows() == [row(7, is_ready=True, sessions=3, load=4)]
    board.free_slot(place, 7, NOW_S, was_told_to=True)
    assert board.rows() == []


def test_one_that_ends_by_itself_is_dead_until_another_takes_its_place(board):
    first, second = board.take_slot(NOW_S), board.take_slot(NOW_S)
    board.write(first, row(7))
    board.free_slot(second, 8, NOW_S, was_told_to=False)
    assert board.problems(NOW_S) == ["worker 8 is dead"]
    assert board.take_slot(NOW_S) == second
    assert board.problems(NOW_S) == []


def test_one_that_has_not_written_for_long_does_not_answer(board):
    board.write(board.take_slot(NOW_S), row(7))
    assert board.problems(NOW_S + SILENT_S) == []
    assert board.problems(NOW_S + SILENT_S + 1) == ["worker 7 has not answered for 6 s"]


def test_the_least_load_is_that_of_another_who_serves_and_answers(board):
    for row_ in (row(1, load=5), row(2, Stage.DRAINING, load=0), row(3, load=1, seen_s=NOW_S - 60)):
        board.write(board.take_slot(NOW_S), row_)
    assert board.least_load(NOW_S, but_for=3) == 5
    assert board.least_load(NOW_S, but_for=1) is None


def test_the_server_is_ready_if_one_who_serves_is_and_the_end_has_not_begun(board):
    for row_ in (row(1), row(2, Stage.DRAINING, is_ready=True), row(3, is_ready=True, seen_s=NOW_S - 60)):
        board.write(board.take_slot(NOW_S), row_)
    assert not board.is_any_ready(NOW_S)
    board.write(0, row(1, is_ready=True))
    assert board.is_any_ready(NOW_S)
    board.is_ending = True
    assert not board.is_any_ready(NOW_S)


def test_there_may_be_no_place_left(board):
    assert [board.take_slot(NOW_S) for _ in range(4)] == [0, 1, 2, None]


@pytest.mark.slow
def test_what_a_child_writes_its_parent_reads(board):
    place = board.take_slot(NOW_S)
    pid = os.fork()
    if pid == 0:
        board.write(place, row(os.getpid(), sessions=2))
        board.is_ending = True
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.rows() == [row(pid, sessions=2)]
    assert board.is_ending
