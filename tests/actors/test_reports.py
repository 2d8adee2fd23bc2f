"""News for an embedding application: in order, one at a time for each session, and nobody waits for it."""

import threading

import pytest

from actors.actor import Actor
from actors.notifications import MAX_WAITING, Notifications
from actors.pool import Pool

WAIT_S = 5.0


class Owner(Actor):
    def __init__(self, dispatcher, pool, idle):
        super().__init__(dispatcher)
        self.reports = Notifications(self, pool, idle.set)


class Desk:
    """Reports that a test adds to, and the threads on which they are told."""

    def __init__(self, dispatcher):
        self.dispatcher = dispatcher
        self.pool = Pool("deliverer", 4, max_waiting=100)
        self.idle = threading.Event()
        self.owner = Owner(dispatcher, self.pool, self.idle)
        self.ref = self.owner._actor_ref
        self.told = []

    def add(self, session_id, news, tell=None, timeout_s=WAIT_S):
        tell = tell or (lambda it: self.told.append((session_id, it)))
        self.dispatcher.call_soon(self.idle.clear)
        self.dispatcher.call_soon(lambda: self.owner.reports.add(session_id, tell, news, timeout_s))

    def wait(self):
        added = threading.Event()
        self.dispatcher.call_soon(added.set)
        assert added.wait(WAIT_S)
        assert self.idle.wait(WAIT_S)


@pytest.fixture
def desk(dispatcher):
    desk = Desk(dispatcher)
    yield desk
    desk.pool.close(WAIT_S)


def test_each_session_s_news_is_told_in_order(desk):
    for n in range(20):
        desk.add("a", n)
        desk.add("b", n)
    desk.wait()
    for session_id in "ab":
        assert [it for whose, it in desk.told if whose == session_id] == list(range(20))


def test_one_session_does_not_wait_for_another(desk):
    go_on = threading.Event()
    desk.add("slow", 1, lambda _news: go_on.wait(WAIT_S))
    quick = threading.Event()
    desk.add("quick", 1, lambda _news: quick.set())
    assert quick.wait(WAIT_S)
    go_on.set()
    desk.wait()


def test_what_fails_or_hangs_is_logged_with_its_session_and_the_next_is_told(desk, caplog):
    over = threading.Event()

    def fail(_news):
        raise ZeroDivisionError("a bug of somebody's")

    desk.add("a", 1, fail)
    desk.add("a", 2, lambda _news: over.wait(WAIT_S), timeout_s=0.05)
    desk.add("a", 3)
    desk.wait()
    over.set()
    assert desk.told == [("a", 3)]
    assert "session a: the delivery of int raised" in caplog.text
    assert "session a: the delivery of int timed out" in caplog.text
    assert "a bug of somebody's" in caplog.text


def test_what_is_too_much_is_dropped_and_said_to_be(desk, caplog):
    go_on = threading.Event()
    desk.add("a", 0, lambda _news: go_on.wait(WAIT_S))
    for n in range(MAX_WAITING + 1):
        desk.add("a", n)
    done = threading.Event()
    desk.dispatcher.call_soon(done.set)
    assert done.wait(WAIT_S)
    go_on.set()
    desk.wait()
    assert len(desk.told) == MAX_WAITING
    assert "session a: int is not delivered: too many wait" in caplog.text
