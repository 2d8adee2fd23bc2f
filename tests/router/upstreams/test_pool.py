"""The pool of one process, in virtual time."""

import logging

import orjson
import pytest

from actors.connections.upstream import DialFailure
from actors.restart import Loss, LossKind
from router.config.upstream import Upstream
from router.metrics.metrics import Metrics
from router.secrets import Secret
from router.session.reports import RateLimitLeft
from router.upstreams.breaker import COOL_DOWN_S, REFUSED_S
from router.upstreams.choice import SLOW_S
from router.upstreams.pool import UpstreamPool

TIMED_OUT = Loss(kind=LossKind.NOT_DIALLED, cause=DialFailure.TIMEOUT.value)
UNREACHABLE = Loss(kind=LossKind.NOT_DIALLED, cause=DialFailure.TCP.value)
REFUSED = Loss(kind=LossKind.HTTP, code=401, cause="refused")
GONE = Loss(kind=LossKind.CLOSED, code=1001)


class Pool(UpstreamPool):
    """A pool with a clock of its own, and two upstreams."""

    def __init__(self, *upstreams):
        self.now_s = 0.0
        self.published = []
        upstreams = upstreams or (Upstream(url="ws://a"), Upstream(url="ws://b"))
        super().__init__(
            upstreams,
            [it.url for it in upstreams],
            Metrics(),
            publish=lambda *change: self.published.append(change),
            clock=lambda: self.now_s,
        )
        self.positions = range(len(upstreams))

    def call(self):
        """Dial for a new call."""
        position = self.choose(self.positions, None)
        return self.take(position, [it for it in self.positions if it != position])

    def metric(self, name):
        rows = {tuple(orjson.loads(key)): values[0] for key, _, values in self._metrics.segment.rows()}
        return {labels[1:]: value for labels, value in rows.items() if labels[0] == name}


def breakers(pool):
    return [[key["breaker"] for key in row["keys"]] for row in pool.rows()]


def test_new_calls_go_elsewhere_after_one_time_out_and_one_of_them_tries_again_later():
    pool = Pool()
    assert pool.lost(pool.call(), TIMED_OUT) is False
    others = [pool.call() for _ in range(3)]
    assert [it.position for it in others] == [1, 1, 1]
    for lease in others:
        pool.connected(lease)
    pool.now_s += COOL_DOWN_S
    trial = pool.call()
    assert (trial.position, trial.is_trial) == (0, True)
    assert pool.call().position == 1
    pool.connected(trial)
    assert pool.call().position == 0


def test_calls_leave_an_upstream_whose_dial_is_not_over_after_a_while():
    pool = Pool()
    first = pool.call()
    pool.now_s = SLOW_S
    assert pool.call().position == 1
    pool.connected(first)
    assert pool.call().position == 0


def test_with_all_upstreams_open_the_one_that_recovers_first_is_tried_without_a_short_deadline():
    pool = Pool()
    pool.lost(pool.call(), TIMED_OUT)
    pool.now_s = 1.0
    pool.lost(pool.call(), TIMED_OUT)
    assert breakers(pool) == [["open"], ["open"]]
    tried = pool.call()
    assert (tried.position, tried.is_trial) == (0, False)


def test_a_refused_key_leaves_the_others_of_the_same_upstream():
    pool = Pool(Upstream(url="ws://a", api_key=Secret("k1"), further_keys=(Secret("k2"),)), Upstream(url="ws://b"))
    first = pool.call()
    assert (first.position, first.key) == (0, 0)
    assert pool.lost(first, REFUSED) is True
    second = pool.call()
    assert (second.position, second.key) == (0, 1)
    assert pool.lost(second, REFUSED) is False
    assert pool.call().position == 1
    assert breakers(pool) == [["open", "open"], ["closed"]]
    assert pool.rows()[0]["keys"][0]["cool_down_s"] == REFUSED_S


def test_a_loss_that_says_nothing_about_the_key_offers_no_other_key():
    pool = Pool(Upstream(url="ws://a", api_key=Secret("k1"), further_keys=(Secret("k2"),)))
    assert pool.lost(pool.call(), Loss(kind=LossKind.REFUSED, cause="model_not_found", is_fatal=True)) is False


def test_the_calls_are_spread_over_the_keys_and_by_weight():
    pool = Pool(
        Upstream(url="ws://a", api_key=Secret("k1"), further_keys=(Secret("k2"),), weight=2.0),
        Upstream(url="ws://b", weight=1.0),
        Upstream(url="ws://c"),
    )
    leases = [pool.call() for _ in range(6)]
    used = [(it.position, it.key) for it in leases]
    assert {it: used.count(it) for it in set(used)} == {(0, 0): 2, (0, 1): 2, (1, 0): 2}
    for lease in leases:
        pool.release(lease)
        pool.release(lease)
    assert [key["sessions"] for row in pool.rows() for key in row["keys"]] == [0, 0, 0, 0]


def test_an_exhausted_rate_limit_sends_new_calls_elsewhere_until_its_reset():
    pool = Pool()
    lease = pool.call()
    pool.served(lease)
    pool.limited(lease, [RateLimitLeft(name="tokens", limit=40_000, left=0, reset_s=30.0)])
    assert pool.call().position == 1
    pool.now_s = 30.0
    assert pool.call().position == 0


def test_a_trial_that_its_caller_abandons_lets_the_next_call_try():
    pool = Pool()
    pool.lost(pool.call(), TIMED_OUT)
    pool.now_s = COOL_DOWN_S
    pool.release(pool.call())
    assert pool.call().position == 0


def test_the_end_of_a_served_session_changes_no_breaker():
    pool = Pool()
    for _ in range(5):
        lease = pool.call()
        pool.served(lease)
        pool.lost(lease, GONE)
    assert breakers(pool) == [["closed"], ["closed"]]


def test_a_late_connection_of_a_lost_lease_changes_nothing():
    pool = Pool()
    lost = pool.call()
    pool.lost(lost, TIMED_OUT)
    pool.now_s = COOL_DOWN_S
    pool.call()
    pool.connected(lost)
    assert breakers(pool)[0] == ["half-open"]


def test_opening_and_closing_are_logged_counted_and_published_once(caplog):
    caplog.set_level(logging.INFO)
    pool = Pool()
    for _ in range(2):
        pool.lost(pool.call(), UNREACHABLE)
    pool.sample()
    assert pool.metric("switchboard_upstream_breaker") == {("a",): 2.0, ("b",): 0.0}
    assert pool.metric("switchboard_upstream_breaker_opened_total") == {("a", "failed again"): 1.0}
    pool.now_s = COOL_DOWN_S
    pool.sample()
    assert pool.metric("switchboard_upstream_breaker") == {("a",): 1.0, ("b",): 0.0}
    trial = pool.call()
    pool.connected(trial)
    pool.served(trial)
    assert pool.published == [(0, 0, COOL_DOWN_S), (0, 0, 0.0)]
    assert [(it.levelname, it.getMessage()) for it in caplog.records] == [
        (
            "WARNING",
            "upstream 0 (ws://a): its breaker opens (failed again): new calls dial it as the last resort for 5 s",
        ),
        ("INFO", "upstream 0 (ws://a) answers again: its breaker closes, and new calls dial it"),
    ]


def test_what_another_machine_tells_is_obeyed_and_not_published_again():
    pool = Pool()
    pool.warn(0, 0, 20.0)
    assert pool.call().position == 1
    pool.clear(0, 0)
    assert pool.call().position == 0
    assert pool.published == []


@pytest.mark.parametrize(
    ("urls", "labels"),
    [
        (("ws://a/x", "ws://b/x"), {("a",), ("b",)}),
        (("ws://a/x", "ws://a/y"), {("a 0",), ("a 1",)}),
        (("simulator",), {("simulator",)}),
    ],
)
def test_each_upstream_has_a_label_of_its_own(urls, labels):
    pool = Pool(*(Upstream(url=it) for it in urls))
    pool.sample()
    assert set(pool.metric("switchboard_upstream_breaker")) == labels
