"""The state of reloads, which workers read and the arbiter writes."""

import pytest

from router.shared_areas import OWN
from router.web.reload_board import ReloadBoard, ReloadState


@pytest.fixture
def board():
    return ReloadBoard(OWN)


def test_a_reload_that_runs_and_its_end_are_seen(board):
    board.begin()
    assert board.state() == ReloadState(finished=0, is_running=True, problem="")
    board.finish("the port is taken")
    assert board.state() == ReloadState(finished=1, is_running=False, problem="the port is taken")
    board.finish()
    assert board.state() == ReloadState(finished=2, is_running=False, problem="")


def test_a_request_stays_until_the_arbiter_takes_it(board):
    board.is_asked = True
    board.finish("no")
    assert board.is_asked
    board.is_asked = False
    assert not board.is_asked


def test_the_oldest_worker_that_no_reload_retired_is_seen_by_all(board):
    assert board.least_age == 0
    board.least_age = 7
    board.finish("no")
    assert board.least_age == 7


def test_a_long_problem_is_cut(board):
    board.finish("ä" * 1000)
    assert board.state().problem.startswith("ää")
