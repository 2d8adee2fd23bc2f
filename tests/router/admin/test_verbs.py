"""The verbs of an operator on the sessions of one process."""

import logging
import os

import pytest

from actors.lifecycle import SessionInfo
from router.admin.switches import Switches
from router.admin.verbs import perform
from router.logs.levels import NOISY

FIELDS = {"session": "s1", "route": "/openai", "trace": None, "principal": "ada", "generation": 2}


@pytest.fixture
def levels_restored():
    """Give every logger that a level is set for the level that it had."""
    loggers = [logging.getLogger(), *map(logging.getLogger, NOISY)]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


class StandIn:
    """A router with one session."""

    def __init__(self):
        self.ended = []
        self.operator = self
        self.switches = Switches(2)
        self.session_count = 1

    def readiness(self):
        return True, "ready"

    def drain_session(self, session_id):
        return session_id == "s1"

    def upstreams(self):
        return [{"position": 0}]

    def pause(self, position):
        self.switches.pause(position, is_paused=True)
        return 3

    def resume(self, position):
        self.switches.pause(position, is_paused=False)
        return 0

    def record(self, percent):
        self.switches.record_percent = percent
        return True

    def worker(self):
        return {"pid": 1}

    def sessions(self):
        return [SessionInfo("s1", "live", 2, 1, 3.14159, FIELDS)]

    def describe_session(self, session_id):
        return {"cost_usd": 0.5} if session_id == "s1" else None

    def end_session(self, session_id):
        self.ended.append(session_id)
        return session_id == "s1"

    def end_named(self, name):
        self.ended.append(name)
        return name == "CA1"


ROW = {
    "id": "s1",
    "state": "live",
    "route": "/openai",
    "principal": "ada",
    "age_s": 3.142,
    "generation": 2,
    "restarts": 1,
    "worker": os.getpid(),
}


def test_the_list_has_a_row_for_each_session():
    assert perform(StandIn(), {"verb": "list"}) == [ROW]


def test_a_session_is_shown_with_its_facts():
    assert perform(StandIn(), {"verb": "show", "id": "s1"}) == {**ROW, "cost_usd": 0.5}


def test_a_session_is_ended():
    router = StandIn()
    assert perform(router, {"verb": "end", "id": "s1"}) is True
    assert router.ended == ["s1"]


@pytest.mark.parametrize("verb", ["show", "end", "drain"])
def test_a_session_of_another_process_has_no_answer(verb):
    assert perform(StandIn(), {"verb": verb, "id": "another"}) is None


def test_a_session_is_drained():
    assert perform(StandIn(), {"verb": "drain", "id": "s1"}) is True


def test_an_upstream_is_paused_and_resumed():
    router = StandIn()
    assert perform(router, {"verb": "pause", "position": 1}) == 3
    assert [router.switches.is_paused(position) for position in (0, 1)] == [False, True]
    assert perform(router, {"verb": "resume", "position": 1}) == 0
    assert not router.switches.is_paused(1)


def test_upstreams_and_the_worker_are_shown():
    assert perform(StandIn(), {"verb": "upstreams"}) == [{"position": 0}]
    assert perform(StandIn(), {"verb": "worker"}) == {"pid": 1, "sessions": 1, "ready": True, "reason": "ready"}


@pytest.mark.usefixtures("levels_restored")
def test_the_level_of_log_lines_is_set_here_and_for_workers_to_come():
    router = StandIn()
    assert perform(router, {"verb": "log-level", "level": "error"}) == "error"
    assert logging.getLogger().level == logging.ERROR
    assert router.switches.log_level == "error"


def test_a_session_is_ended_by_the_name_of_its_call():
    router = StandIn()
    assert perform(router, {"verb": "end_named", "name": "CA1"}) is True
    assert perform(router, {"verb": "end_named", "name": "CA2"}) is None
    assert router.ended == ["CA1", "CA2"]


def test_the_share_of_recordings_is_set():
    router = StandIn()
    assert perform(router, {"verb": "record", "percent": 25}) is True
    assert router.switches.record_percent == 25
