"""One session's use of the pool, as the supervisor drives it."""

import pytest

from actors import lifecycle
from actors.connections.close_codes import CloseCode
from actors.connections.upstream import DialError, DialFailure, DialTarget
from actors.restart import Loss, LossKind
from router.config.upstream import Upstream
from router.session.reports import RateLimitLeft, RateLimitsLeft, UpstreamTookOver
from router.upstreams.breaker import COOL_DOWN_S
from router.upstreams.session import TRIAL_DIAL_S, SessionUpstreams
from tests.router.upstreams.test_pool import TIMED_OUT, Pool, breakers

DIAL_S = 10.0


class Session(SessionUpstreams):
    """A session with upstreams that dials as the supervisor does."""

    def __init__(self, pool, is_paused=lambda _position: False):
        self._next = 0
        self._positions = list(pool.positions)
        count = len(pool.positions)
        super().__init__(pool, self._make_target, is_paused, count)

    @staticmethod
    def _make_target(model, position, key):
        return DialTarget(url=f"ws://{position}/{model}", timeout_s=DIAL_S, position=position, key=key)

    def open(self):
        self._next += 1
        self.observe(lifecycle.UpstreamRequested("s", self._next, "m", 0.0, is_standby=False))
        return self.target("m", self.choose(self._positions, None))

    def took_over(self, generation, position=0):
        self.observe(UpstreamTookOver(generation=generation, position=position))

    def end(self):
        self.observe(lifecycle.SessionEnded("s", 1.0, CloseCode.NORMAL_CLOSURE, "", 0))


def sessions(pool):
    return [key["sessions"] for row in pool.rows() for key in row["keys"]]


def test_a_session_holds_a_key_from_its_dial_to_its_end():
    pool = Pool()
    session = Session(pool)
    assert session.open().position == 0
    assert sessions(pool) == [1, 0]
    session.took_over(1)
    session.end()
    assert sessions(pool) == [0, 0]


def test_the_former_upstream_is_released_by_a_rollover():
    pool = Pool()
    session = Session(pool)
    session.open()
    session.took_over(1)
    session.open()
    assert sessions(pool) == [2, 0]
    session.took_over(2)
    assert sessions(pool) == [1, 0]


def test_a_loss_is_one_of_the_generation_s_own_upstream():
    pool = Pool()
    session = Session(pool)
    session.open()
    assert session.note_loss(1, TIMED_OUT) is False
    assert breakers(pool) == [["open"], ["closed"]]
    assert session.open().position == 1
    assert session.note_loss(1, TIMED_OUT) is False
    assert session.note_loss(9, TIMED_OUT) is False
    assert breakers(pool) == [["open"], ["closed"]]


def test_a_trial_has_a_short_dial_where_another_upstream_would_serve():
    pool = Pool()
    for is_paused, timeout_s in ((lambda _position: False, TRIAL_DIAL_S), (lambda position: position == 1, DIAL_S)):
        session = Session(pool, is_paused)
        assert session.open().timeout_s == DIAL_S
        session.note_loss(1, TIMED_OUT)
        pool.now_s += 10 * COOL_DOWN_S
        target = session.open()
        assert (target.position, target.timeout_s) == (0, timeout_s)
        session.took_over(2)


def test_the_pool_learns_of_each_dial_that_succeeds():
    pool = Pool()
    session = Session(pool)
    session.open()
    session.note_loss(1, TIMED_OUT)
    pool.now_s = COOL_DOWN_S
    target = session.open()
    connection = object()
    assert session.dialling(lambda _target: connection)(target) is connection
    assert breakers(pool)[0] == ["closed"]


def test_a_late_dial_says_nothing_about_a_later_one_with_the_same_key(monkeypatch):
    pool = Pool(Upstream(url="ws://a"))
    session = Session(pool)
    noted = []
    monkeypatch.setattr(pool, "connected", noted.append)
    dial = session.dialling(lambda target: target.url)
    late = session.open()
    session.note_loss(1, TIMED_OUT)
    target = session.open()
    assert (target.position, target.key) == (late.position, late.key)
    dial(late)
    assert noted == []
    dial(target)
    assert [it.generation for it in noted] == [2]


def test_a_dial_that_fails_is_left_to_the_loss():
    pool = Pool()
    session = Session(pool)
    target = session.open()

    def fail(_target):
        raise DialError(DialFailure.TCP)

    with pytest.raises(DialError):
        session.dialling(fail)(target)
    assert breakers(pool)[0] == ["closed"]
    session.note_loss(1, Loss(kind=LossKind.NOT_DIALLED, cause=DialFailure.TCP.value))
    session.open()
    session.note_loss(2, Loss(kind=LossKind.NOT_DIALLED, cause=DialFailure.TCP.value))
    assert breakers(pool)[0] == ["open"]


def test_rate_limits_are_those_of_the_key_in_use():
    pool = Pool()
    session = Session(pool)
    session.open()
    session.took_over(1)
    limits = (RateLimitLeft(name="requests", limit=100, left=0, reset_s=60.0),)
    session.observe(RateLimitsLeft(position=1, limits=limits))
    assert breakers(pool)[0] == ["closed"]
    session.observe(RateLimitsLeft(position=0, limits=limits))
    assert breakers(pool)[0] == ["open"]
