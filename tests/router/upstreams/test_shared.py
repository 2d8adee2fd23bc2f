"""Open breakers that machines share through a real Redis."""

import threading

import pytest
import redis

from router.access.redis_counts import client_of
from router.config.model import Limits
from router.config.upstream import Upstream
from router.metrics.metrics import Metrics
from router.secrets import Secret
from router.upstreams.shared import SharedBreakers
from tests.router.upstreams.test_pool import TIMED_OUT, Pool, breakers
from tests.support.processes.redis_server import redis_server

pytestmark = pytest.mark.slow

WAIT_S = 30.0
NOWHERE = Limits(store="redis://127.0.0.1:1/0")


@pytest.fixture(scope="module")
def server():
    with redis_server() as found:
        yield found


@pytest.fixture
def store(server):
    with client_of(Limits(store=server.url)) as client:
        client.flushall()
        yield client


UPSTREAMS = (Upstream(url="ws://a", api_key=Secret("one-key")), Upstream(url="ws://b"))


class Machine:
    """A pool and its link, without the thread: the test says when they exchange."""

    def __init__(self, store, upstreams=UPSTREAMS):
        self.pool = Pool(*upstreams)
        self._store = store
        self.link = SharedBreakers(self.pool, upstreams, lambda: store, Metrics())
        self.pool.publish = self.link.publish

    def exchange(self):
        self.link.exchange(self._store)


def test_a_new_call_on_one_machine_avoids_an_upstream_that_failed_on_another(store):
    one, other = Machine(store), Machine(store)
    one.pool.lost(one.pool.call(), TIMED_OUT)
    for machine in (one, other):
        machine.exchange()
    assert other.pool.call().position == 1
    assert breakers(other.pool) == [["open"], ["closed"]]


def test_a_trial_that_succeeds_on_one_machine_ends_the_cool_down_on_the_others(store):
    one, other = Machine(store), Machine(store)
    one.pool.lost(one.pool.call(), TIMED_OUT)
    for machine in (one, other):
        machine.exchange()
    one.pool.now_s = 5.0
    one.pool.served(one.pool.call())
    for machine in (one, other):
        machine.exchange()
    assert breakers(one.pool)[0] == ["closed"]
    assert other.pool.call().position == 0


def test_a_process_does_not_obey_its_own_opening_after_it_closed(store):
    one = Machine(store)
    one.pool.lost(one.pool.call(), TIMED_OUT)
    one.exchange()
    one.pool.now_s = 5.0
    one.pool.served(one.pool.call())
    one.exchange()
    one.exchange()
    assert breakers(one.pool)[0] == ["closed"]


def test_another_key_or_another_list_is_another_breaker_and_no_secret_is_in_redis(store):
    one = Machine(store)
    swapped = Machine(store, (UPSTREAMS[1], UPSTREAMS[0]))
    stranger = Machine(store, (Upstream(url="ws://a", api_key=Secret("other-key")), Upstream(url="ws://b")))
    one.pool.lost(one.pool.call(), TIMED_OUT)
    for machine in (one, swapped, stranger):
        machine.exchange()
    assert breakers(swapped.pool) == [["closed"], ["open"]]
    assert breakers(stranger.pool) == [["closed"], ["closed"]]
    (name,) = store.keys()
    assert "one-key" not in name
    assert 0 < store.pttl(name) <= 5000


def test_a_change_that_redis_did_not_take_is_sent_again(store):
    one = Machine(store)
    one.pool.lost(one.pool.call(), TIMED_OUT)
    with client_of(NOWHERE) as nowhere, pytest.raises(redis.RedisError):
        one.link.exchange(nowhere)
    one.exchange()
    assert len(store.keys()) == 1


class Watched(Metrics):
    """Counters that tell of each failure of the store."""

    def __init__(self):
        super().__init__()
        self.failed = threading.Event()

    def add(self, metric, labels=(), value=1.0):
        super().add(metric, labels, value)
        if metric.name == "switchboard_upstream_store_failures_total" and value:
            self.failed.set()


def test_without_redis_each_process_uses_its_own_knowledge_and_counts(caplog):
    pool, metrics = Pool(*UPSTREAMS), Watched()
    link = SharedBreakers(pool, UPSTREAMS, lambda: client_of(NOWHERE), metrics)
    pool.publish = link.publish
    link.start()
    link.start()
    try:
        assert metrics.failed.wait(WAIT_S)
        pool.lost(pool.call(), TIMED_OUT)
        assert pool.call().position == 1
    finally:
        link.close()
    assert [it.levelname for it in caplog.records if "is not shared" in it.getMessage()] == ["WARNING"]


def test_the_thread_carries_a_breaker_to_another_process(server):
    warned = threading.Event()
    one, other = Pool(*UPSTREAMS), Pool(*UPSTREAMS)
    other.warn = lambda *_: warned.set()
    links = [
        SharedBreakers(it, UPSTREAMS, lambda: client_of(Limits(store=server.url)), Metrics()) for it in (one, other)
    ]
    one.publish = links[0].publish
    for link in links:
        link.start()
    try:
        one.publish(0, 0, 60.0)
        assert warned.wait(WAIT_S)
    finally:
        for link in links:
            link.close()
