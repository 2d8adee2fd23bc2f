"""Notifications for an embedding application: in order, and one at a time for each session."""

import threading

import pytest

from actors.actor import Actor
from actors.notifications import MAX_WAITING, Notifications
from actors.pool import Pool

WAIT_S = 5.0


class Owner(Actor):
    def __init__(self, dispatcher, pool, idle):
        super().__init__(dispatcher)
        self.notifications = Notifications(self, pool, idle.set)


class Sender:
    """Notifications that a test adds to, and the threads on which they are delivered."""

    def __init__(self, dispatcher):
        self.dispatcher = dispatcher
        self.pool = Pool("deliverer", 4, max_waiting=100)
        self.idle = threading.Event()
        self.owner = Owner(dispatcher, self.pool, self.idle)
        self.ref = self.owner._actor_ref
        self.delivered = []

    def add(self, session_id, notification, deliver=None, timeout_s=WAIT_S):
        deliver = deliver or (lambda it: self.delivered.append((session_id, it)))
        self.dispatcher.call_soon(self.idle.clear)
        fields = {"session": session_id, "generation": 1}
        self.dispatcher.call_soon(lambda: self.owner.notifications.add(fields, deliver, notification, timeout_s))

    def wait(self):
        added = threading.Event()
        self.dispatcher.call_soon(added.set)
        assert added.wait(WAIT_S)
        assert self.idle.wait(WAIT_S)


@pytest.fixture
def sender(dispatcher):
    sender = Sender(dispatcher)
    yield sender
    sender.pool.close(WAIT_S)


def test_the_notifications_of_a_session_are_delivered_in_order(sender):
    for n in range(20):
        sender.add("a", n)
        sender.add("b", n)
    sender.wait()
    for session_id in "ab":
        assert [it for whose, it in sender.delivered if whose == session_id] == list(range(20))


def test_one_session_does_not_wait_for_another(sender):
    go_on = threading.Event()
    sender.add("slow", 1, lambda _notification: go_on.wait(WAIT_S))
    quick = threading.Event()
    sender.add("quick", 1, lambda _notification: quick.set())
    assert quick.wait(WAIT_S)
    go_on.set()
    sender.wait()


def test_a_delivery_that_fails_or_hangs_is_logged_with_its_session_and_the_next_follows(sender, caplog):
    over = threading.Event()

    def fail(_notification):
        raise ZeroDivisionError("a bug of the application's")

    sender.add("a", 1, fail)
    sender.add("a", 2, lambda _notification: over.wait(WAIT_S), timeout_s=0.05)
    sender.add("a", 3)
    sender.wait()
    over.set()
    assert sender.delivered == [("a", 3)]
    assert "session a: the delivery of int raised" in caplog.text
    assert "session a: the delivery of int timed out" in caplog.text
    assert "a bug of the application's" in caplog.text


def test_notifications_beyond_the_bound_are_dropped_and_logged(sender, caplog):
    go_on = threading.Event()
    sender.add("a", 0, lambda _notification: go_on.wait(WAIT_S))
    for n in range(MAX_WAITING + 1):
        sender.add("a", n)
    done = threading.Event()
    sender.dispatcher.call_soon(done.set)
    assert done.wait(WAIT_S)
    go_on.set()
    sender.wait()
    assert len(sender.delivered) == MAX_WAITING
    assert "session a: int is not delivered: too many wait" in caplog.text
