"""The operator's hands in one process."""

import os
from types import SimpleNamespace

from actors import lifecycle
from router.admin.operator import Operator
from router.admin.switches import Switches
from router.admin.upstreams import UpstreamBook
from router.config.upstream import Upstream
from router.metrics.metrics import Metrics
from router.upstreams.pool import UpstreamPool


class Runtime:
    """A running router that answers each question with the next answer."""

    def __init__(self, *answers):
        self.dispatchers = [SimpleNamespace(lag_s=0.25), SimpleNamespace(lag_s=0.5)]
        self.asked = []
        self._answers = list(answers)

    def ask(self, message, *, default, timeout_s):  # noqa: ARG002 - as the real one
        self.asked.append(message)
        return self._answers.pop(0) if self._answers else default

    def problems(self):
        return ["dispatcher-0 is dead"]


def operator(*answers):
    runtime = Runtime(*answers)
    labels = ["wss://a", "wss://b"]
    book, pool = UpstreamBook(labels), UpstreamPool([Upstream(url=it) for it in labels], labels, Metrics())
    return Operator(runtime, Switches(2), book, pool, drain_s=7.0, positions=lambda: [1, 1]), runtime


def test_a_session_is_drained_within_the_configured_time():
    hands, runtime = operator(True, False)
    assert hands.drain_session("s1")
    assert not hands.drain_session("s2")
    assert runtime.asked == [lifecycle.DrainOne("s1", 7.0), lifecycle.DrainOne("s2", 7.0)]


def test_a_pause_is_switched_before_sessions_leave():
    hands, runtime = operator(2)
    assert hands.pause(1) == 2
    assert hands.switches.is_paused(1)
    assert runtime.asked == [lifecycle.LeaveUpstream(1)]
    assert hands.resume(1) == 0
    assert not hands.switches.is_paused(1)


def test_the_list_says_which_positions_there_are():
    hands, _ = operator()
    assert [hands.has_upstream(position) for position in (-1, 0, 1, 2)] == [False, True, True, False]


def test_the_rows_count_the_sessions_at_each_upstream():
    assert [row["sessions"] for row in operator()[0].upstreams()] == [0, 2]


def test_the_facts_of_a_worker():
    facts = operator()[0].worker()
    assert (facts["pid"], facts["dispatchers"], facts["lag_s"]) == (os.getpid(), 2, 0.5)
    assert facts["problems"] == ["dispatcher-0 is dead"]
    assert facts["memory_bytes"] is None or facts["memory_bytes"] > 1_000_000


def test_the_share_of_recordings_is_switched_where_there_is_a_folder():
    hands, _ = operator()
    assert not hands.record(25)
    assert hands.switches.record_percent is None
    hands.records = True
    assert hands.record(25)
    assert hands.switches.record_percent == 25
