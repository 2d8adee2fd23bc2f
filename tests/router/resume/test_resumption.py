"""The lost calls of one process: what is kept, for whom, and what is counted."""

import contextlib
import json
import threading
import uuid

import msgspec
import pytest

from router.access.request import Principal, Request
from router.config.model import Limits, RouterConfig
from router.resume import resumption
from router.resume.area import MOST_BYTES, SharedSnapshots
from router.resume.resumption import Resumption, asks_for_token

ONE = str(uuid.UUID(int=1))
WELCOME = '{"type":"Welcome","request_id":"r"}'


class Counted:
    """The results that are counted."""

    def __init__(self):
        self.results = []

    def add(self, _metric, labels):
        self.results += labels


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.setattr(resumption, "LATE_S", 0.0)
    made = Resumption(RouterConfig(upstream="ws://127.0.0.1:9"), Counted(), SharedSnapshots(slots=2))
    yield made
    made.close()


def token(calls, principal=None):
    welcome = json.loads(calls.welcome(WELCOME, ONE, principal, is_back=False))
    assert {"type", "request_id", "resume_token"} == set(welcome)
    return welcome["resume_token"]


def request(resume, principal=None):
    owner = Principal(principal) if principal is not None else None
    made = Request(path="/openai", profile="openai", query={"resume": resume} if resume else {}, headers={})
    return msgspec.structs.replace(made, principal=owner)


def keep(calls, data=b"words"):
    calls.keep(ONE, data)
    calls.close()  # stores what waits


def test_the_first_lost_call_and_a_client_that_comes_back_at_once_use_the_same_memory(monkeypatch):
    made, both = [], threading.Barrier(2)

    class Slow(SharedSnapshots):
        def __init__(self):
            made.append(self)
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)
            super().__init__(slots=2)

    monkeypatch.setattr(resumption, "SharedSnapshots", Slow)
    calls = Resumption(RouterConfig(upstream="ws://127.0.0.1:9"), Counted())
    calls.keep(ONE, b"words")
    assert calls.take(request(token(calls))) == b"words"
    calls.close()
    assert len(made) == 1


def test_a_kept_call_is_given_to_its_client_once(calls):
    keep(calls)
    assert calls.take(request(token(calls))) == b"words"
    assert calls.take(request(token(calls))) is None
    assert calls._metrics.results == ["kept", "resumed", "unknown"]


def test_another_principal_gets_nothing_and_the_call_stays_kept(calls):
    keep(calls)
    ada = token(calls, "ada")
    assert [calls.take(request(ada, it)) for it in (None, "bob")] == [None, None]
    assert calls.take(request(token(calls, None), "ada")) is None
    assert calls.take(request(ada, "ada")) == b"words"


def test_a_request_without_a_token_asks_for_nothing(calls):
    assert [calls.take(request(it)) for it in (None, "new")] == [None, None]
    assert calls._metrics.results == []


def test_a_client_has_to_ask_for_a_token():
    assert not asks_for_token(request(None))
    assert asks_for_token(request("new"))


def test_calls_that_wait_have_a_bound_together(calls, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(resumption, "MAX_WAITING_BYTES", 10)
    monkeypatch.setattr(calls, "_store", lambda *_: go_on.wait(5))
    calls.keep(ONE, b"12345678")
    calls.keep(ONE, b"123")
    assert calls._metrics.results == ["failed"]
    go_on.set()
    calls.close()
    assert calls._waiting_bytes == 0


def test_a_call_that_is_too_large_is_counted_and_not_kept(calls):
    keep(calls, bytes(MOST_BYTES + 1))
    assert calls.take(request(token(calls))) is None
    assert calls._metrics.results == ["too large", "unknown"]


def test_a_client_that_is_back_learns_it(calls):
    assert json.loads(calls.welcome(WELCOME, ONE, None, is_back=True))["resumed"] is True


def test_without_the_setting_the_welcome_is_as_before():
    off = Resumption(RouterConfig(upstream="ws://127.0.0.1:9", limits=Limits(resume_s=0.0)), Counted())
    assert off.welcome(WELCOME, ONE, None, is_back=False) == WELCOME
    assert not off.is_on
    off.close()
