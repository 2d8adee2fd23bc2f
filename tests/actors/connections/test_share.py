"""A connection's share of the memory that all peers hold together."""

import pytest

from actors.connections.share import Share
from actors.footprint import STEP_BYTES, Footprint


class Dispatcher:
    """A dispatcher whose calls the test makes."""

    def __init__(self):
        self.calls = []

    def call_soon(self, call):
        self.calls.append(call)

    def run(self):
        while self.calls:
            self.calls.pop(0)()


class Owner:
    """A connection that holds what the test says."""

    def __init__(self):
        self.held_bytes = 0
        self.may_give_way = True
        self.given_way = 0

    def give_way(self):
        self.given_way += 1


@pytest.fixture
def footprint():
    return Footprint(10 * STEP_BYTES)


@pytest.fixture
def dispatcher():
    return Dispatcher()


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def share(owner, footprint, dispatcher):
    return Share(owner, footprint, dispatcher)


def exceed(share, owner):
    owner.held_bytes = 11 * STEP_BYTES
    share.note()
    assert owner.given_way == 0, "never from inside the call"


def test_what_a_connection_holds_counts_until_it_is_released(share, owner, footprint):
    owner.held_bytes = 5 * STEP_BYTES
    share.note()
    assert (share.holding.held_bytes, footprint.total_bytes) == (5 * STEP_BYTES, 5 * STEP_BYTES)
    share.release()
    share.note()
    assert footprint.total_bytes == 0


def test_a_connection_that_holds_too_much_gives_way_on_a_later_turn(share, owner, dispatcher):
    exceed(share, owner)
    dispatcher.run()
    assert owner.given_way == 1


def test_a_connection_whose_memory_has_left_in_the_meantime_stays_and_is_counted_on(
    share, owner, dispatcher, footprint
):
    exceed(share, owner)
    owner.held_bytes = 2 * STEP_BYTES
    dispatcher.run()
    assert (owner.given_way, footprint.total_bytes) == (0, 2 * STEP_BYTES)
    exceed(share, owner)
    dispatcher.run()
    assert owner.given_way == 1


@pytest.mark.parametrize("end", ["closing", "released"])
def test_a_connection_that_ends_need_not_give_way(share, owner, dispatcher, end):
    exceed(share, owner)
    if end == "closing":
        owner.may_give_way = False
    else:
        share.release()
    dispatcher.run()
    assert owner.given_way == 0
