"""The choice between the listed upstreams and Deepgram, as the supervisor asks for it."""

import pytest

from actors import lifecycle
from actors.connections.upstream import DialTarget
from actors.restart import Loss, LossKind
from router.session.reports import RateLimitsLeft, UpstreamTookOver
from router.upstreams.backends import Backends
from router.upstreams.session import SessionUpstreams
from tests.router.upstreams.test_pool import TIMED_OUT, Pool

OWN = 2
CLOSED = Loss(kind=LossKind.CLOSED, code=1011, cause="closed")
REFUSED = Loss(kind=LossKind.NOT_DIALLED, cause="refused")


class Session(Backends):
    """The upstreams of one session, driven as the supervisor drives them."""

    def __init__(self, *, prefers_deepgram=False):
        self.pools = Pool(), Pool()
        self.dialled = []
        listed = SessionUpstreams(self.pools[0], self._listed_target, lambda _position: False, OWN)
        deepgram = SessionUpstreams(self.pools[1], self._own_target, lambda _position: False, 1)
        settings = {"position": OWN, "prefers_deepgram": prefers_deepgram, "relay_route": "deepgram", "model": "m"}
        super().__init__(listed, deepgram, **settings)
        self._generation_asked = 0
        self.made = None

    def _listed_target(self, model, position, key):
        self.dialled.append(model)
        return DialTarget(url=f"ws://{position}", timeout_s=1.0, position=position, key=key)

    def _own_target(self, _model, _position, key):
        self.dialled.append("deepgram")
        return DialTarget(url="ws://deepgram", timeout_s=1.0, key=key)

    def dial(self, *, leaving=None, route="gpt", is_standby=False):
        """Dial an upstream, and return its position."""
        self._generation_asked += 1
        self.observe(lifecycle.UpstreamRequested("s", self._generation_asked, route, 0.0, is_standby))
        position = self.choose([0, 1, OWN], leaving)
        self.made = self.target(route, position)
        return position

    def serve(self, position):
        self.observe(UpstreamTookOver(generation=self._generation_asked, position=position))

    def lose(self, loss=REFUSED):
        return self.note_loss(self._generation_asked, loss)


def sessions(pool):
    return sum(key["sessions"] for row in pool.rows() for key in row["keys"])


def test_the_backend_of_the_route_comes_first():
    assert Session().dial() == 0
    assert Session(prefers_deepgram=True).dial(route="deepgram") == OWN


def test_the_other_backend_comes_when_each_upstream_of_the_route_s_own_has_failed():
    session = Session()
    assert session.dial() == 0
    session.serve(0)
    session.lose(CLOSED)
    assert session.dial() == 0
    session.lose()
    assert session.dial(leaving=0) == 1
    session.lose()
    assert session.dial(leaving=1) == OWN
    session.serve(OWN)
    session.lose(CLOSED)
    assert session.dial(route="deepgram") in (0, 1)


def test_a_deepgram_that_cannot_be_dialled_gives_way_and_comes_first_again_later():
    session = Session(prefers_deepgram=True)
    session.dial(route="deepgram")
    session.lose()
    assert session.dial(leaving=OWN, route="deepgram") == 0
    assert session.dialled == ["deepgram", "m"]
    session.serve(0)
    session.lose(CLOSED)
    assert session.dial() == OWN


def test_an_open_breaker_sends_new_calls_to_the_other_backend():
    for prefers_deepgram in (False, True):
        session = Session(prefers_deepgram=prefers_deepgram)
        for key in range(2):
            session.pools[prefers_deepgram].lost(
                session.pools[prefers_deepgram].take(key * (not prefers_deepgram)), TIMED_OUT
            )
        assert session.dial() == (0 if prefers_deepgram else OWN)


def test_a_standby_is_of_the_backend_in_use():
    session = Session(prefers_deepgram=True)
    session.dial(route="deepgram")
    session.lose()
    assert session.dial(leaving=OWN, route="deepgram") == 0
    session.serve(0)
    assert session.dial(is_standby=True) != OWN


def test_a_dial_that_succeeds_is_noted_in_its_own_pool():
    session = Session(prefers_deepgram=True)
    dial = session.dialling(lambda target: target.url)
    session.dial(route="deepgram")
    assert dial(DialTarget(url="ws://deepgram", timeout_s=1.0)) == "ws://deepgram"
    assert sessions(session.pools[1]) == 1
    session.observe(lifecycle.SessionEnded("s", 1.0, 1000, "", 0))
    assert sessions(session.pools[1]) == 0


def test_a_dial_says_nothing_about_the_other_backend(monkeypatch):
    session = Session()
    noted = [], []
    for pool, leases in zip(session.pools, noted, strict=True):
        monkeypatch.setattr(pool, "connected", leases.append)
    dial = session.dialling(lambda target: target.url)
    session.dial()
    late = session.made
    session.lose()
    session.dial(leaving=0)
    session.lose()
    assert session.dial(leaving=1) == OWN
    dial(late)
    assert noted == ([], [])
    dial(session.made)
    assert [len(it) for it in noted] == [0, 1]


def test_reports_of_the_list_do_not_reach_deepgram_s_pool(monkeypatch):
    session = Session(prefers_deepgram=True)
    session.dial(route="deepgram")
    monkeypatch.setattr(session.pools[1], "limited", pytest.fail)
    session.observe(RateLimitsLeft(position=0, limits=()))


def test_a_loss_of_an_unknown_generation_changes_nothing():
    assert Session().note_loss(9, CLOSED) is False
