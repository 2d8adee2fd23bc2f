"""The switches of an operator, which workers share."""

import pytest

from router.admin.switches import Switches


def test_nothing_is_switched_at_first():
    switches = Switches(2)
    assert not switches.is_paused(0)
    assert not switches.are_all_paused
    assert switches.log_level is None


def test_a_pause_is_of_one_upstream_and_ends():
    switches = Switches(2)
    switches.pause(1, is_paused=True)
    assert [switches.is_paused(position) for position in (0, 1)] == [False, True]
    switches.pause(0, is_paused=True)
    assert switches.are_all_paused
    switches.pause(1, is_paused=False)
    assert not switches.are_all_paused


@pytest.mark.parametrize("level", ["trace", "error", None])
def test_a_level_is_kept(level):
    switches = Switches(1)
    switches.log_level = "info"
    switches.log_level = level
    assert switches.log_level == level


@pytest.mark.parametrize("percent", [0, 100, None])
def test_a_share_of_recordings_is_kept_and_pauses_nothing(percent):
    switches = Switches(1)
    switches.record_percent = 25
    switches.record_percent = percent
    assert switches.record_percent == percent
    assert not switches.is_paused(0)
    assert switches.log_level is None


def test_a_worker_that_attaches_to_the_server_s_switches_sees_and_changes_them():
    shared, mine = Switches(1), Switches(1)
    shared.pause(0, is_paused=True)
    mine.attach(shared)
    assert mine.is_paused(0)
    mine.log_level = "debug"
    assert shared.log_level == "debug"


def test_pauses_end_where_another_list_of_upstreams_is_in_use():
    switches = Switches(2)
    assert not switches.note_upstreams(["wss://a", "wss://b"])
    switches.pause(1, is_paused=True)
    assert not switches.note_upstreams(["wss://a", "wss://b"])
    assert switches.is_paused(1)
    assert switches.note_upstreams(["wss://a", "wss://c"])
    assert not switches.is_paused(1)
