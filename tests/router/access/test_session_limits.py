"""Limits on new sessions."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.connections.handover import HandshakeRefused
from router.access import spent
from router.access.request import Principal, Terms
from router.access.session_limits import NO_TICKET, Admission, SharedLimits, group_of
from router.config.model import Limits
from router.testing import CallHarness


def shared(slots=1, **limits):
    return SharedLimits(Limits(**limits), slots)


def refusal(admission, address="203.0.113.7", principal=None):
    with pytest.raises(HandshakeRefused) as caught:
        admission.admit(address, principal)
    assert caught.value.status == 429
    return caught.value.description, int(dict(caught.value.headers)["Retry-After"])


def test_without_a_limit_nothing_is_counted():
    assert Admission(shared()).admit("203.0.113.7", None) is NO_TICKET
    NO_TICKET.settle()
    NO_TICKET.release()


def test_a_token_for_one_session_is_used_once_over_all_workers(monkeypatch):
    limits = shared(slots=2)
    one, other = Admission(limits, 0), Admission(limits, 1)
    principal = Principal("ada", expires_s=time.time() + 30, terms=Terms("token"))
    assert one.spend(principal)
    assert not other.spend(principal)
    other.restore(principal)
    assert other.spend(principal)
    assert [one.spend(Principal("ada")) for _ in range(2)] == [True, True]
    one.restore(None)
    monkeypatch.setattr(spent, "MAX_TOKENS", 1)
    full = Admission(shared())
    assert full.spend(principal)
    with pytest.raises(HandshakeRefused) as caught:
        full.spend(Principal("ada", expires_s=time.time() + 30, terms=Terms("another")))
    assert (caught.value.status, dict(caught.value.headers)["Retry-After"]) == (503, "10")


def test_no_more_sessions_than_allowed_are_there_at_a_time():
    admission = Admission(shared(max_sessions=2))
    first, _ = (admission.admit(None, None) for _ in range(2))
    assert refusal(admission) == ("too many sessions: try again later", 10)
    first.release()
    first.release()
    admission.admit(None, None)
    refusal(admission)


def test_a_session_changes_its_place_while_another_one_waits_for_the_lock(monkeypatch):
    limits = shared(max_sessions=2, max_tokens_per_day=100)
    admission = Admission(limits)
    ticket = admission.admit(None, "ada")
    is_waiting, is_free = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def held():
        is_waiting.set()
        assert is_free.wait(10)
        yield

    monkeypatch.setattr(limits.lock, "held", held)

    def change():
        ticket.settle()
        ticket.spend(1, 0.0, 0)
        ticket.release()

    with ThreadPoolExecutor(2) as pool:
        admitted = pool.submit(admission.admit, None, "bob")
        assert is_waiting.wait(10)
        try:
            pool.submit(change).result(10)
        finally:
            is_free.set()
        assert admitted.result(10)
    assert admission.in_use() == (1, 1)


def test_an_address_and_a_principal_have_their_own_limits():
    admission = Admission(shared(max_sessions_per_address=1, max_sessions_per_principal=2))
    admission.admit("203.0.113.7", "ada")
    assert refusal(admission, "203.0.113.7", "bob")[0].startswith("too many sessions from this address")
    admission.admit("203.0.113.8", "ada")
    assert refusal(admission, "203.0.113.9", "ada")[0].startswith("too many sessions of this client")
    admission.admit("203.0.113.9", "bob")


def test_the_workers_of_a_server_count_together():
    limits = shared(slots=2, max_sessions_per_address=2)
    one, other = Admission(limits, 0), Admission(limits, 1)
    one.admit("203.0.113.7", None)
    kept = other.admit("203.0.113.7", None)
    refusal(one)
    limits.forget(0)
    one = Admission(limits, 0)
    one.admit("203.0.113.7", None)
    refusal(one)
    kept.release()
    one.admit("203.0.113.7", None)


def test_sessions_without_settings_are_few():
    admission = Admission(shared(max_pending_sessions=1))
    ticket = admission.admit("203.0.113.7", None)
    assert refusal(admission) == ("too many sessions wait for their Settings: try again later", 1)
    ticket.settle()
    admission.admit("203.0.113.8", None)


def test_an_address_may_begin_so_many_sessions_in_a_period():
    admission = Admission(shared(new_sessions="2/minute"))
    for _ in range(2):
        admission.admit("203.0.113.7", None).release()
    problem, retry_s = refusal(admission)
    assert problem.startswith("too many new sessions from this address")
    assert 58 <= retry_s <= 61
    admission.admit("203.0.113.8", None)


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", ""),
        ("@", "@"),
    ],
)
def test_an_ipv6_address_stands_for_its_network(address, group):
    assert group_of(address) == group


def test_a_router_gives_the_place_of_a_session_back_when_it_ends_or_never_began():
    with CallHarness(limits={"max_sessions": 1}) as harness:
        with pytest.raises(ZeroDivisionError):
            harness.router.begin({"HTTP_UPGRADE": "websocket"}, "openai", lambda _first_text: 1 / 0)
        for _ in range(3):
            call = harness.call()
            with pytest.raises(HandshakeRefused):
                harness.call()
            call.hang_up()
            while harness.router.session_count:  # the supervisor answers behind the end that it may have in its inbox
                harness.router.sessions()


def test_a_client_that_is_refused_by_its_credential_takes_no_place():
    seen = iter([None, Principal("ada"), Principal("ada")])
    with CallHarness(authenticate=lambda _request: next(seen), limits={"max_sessions_per_principal": 1}) as harness:
        with pytest.raises(HandshakeRefused, match="401"):
            harness.call()
        harness.call()
        with pytest.raises(HandshakeRefused, match="429"):
            harness.call()


def test_a_router_lets_another_session_wait_when_the_first_has_its_settings(simulator):
    with CallHarness(limits={"max_pending_sessions": 1}) as harness:
        call = harness.call(simulator=simulator)
        with pytest.raises(HandshakeRefused):
            harness.call()
        call.client.start()
        harness.call()


def test_a_session_of_another_process_is_counted_and_no_limit_refuses_it():
    limits = shared(slots=2, max_sessions=1, max_pending_sessions=1)
    before, after = Admission(limits, 0), Admission(limits, 1)
    ticket = before.admit("203.0.113.7", "ada")
    moved = after.readmit("203.0.113.7", "ada")
    assert after.in_use() == (2, 2)
    ticket.release()
    moved.settle()
    assert after.in_use() == (1, 0)
    assert refusal(before)[0] == "too many sessions: try again later"
    moved.release()
    assert Admission(shared()).readmit("203.0.113.7", None) is NO_TICKET


def test_a_session_of_another_process_runs_uncounted_where_every_cell_is_taken(monkeypatch):
    admission = Admission(shared(max_sessions=1))
    monkeypatch.setattr("router.access.counts.Seats.claim", lambda *_: None)
    assert admission.readmit("203.0.113.7", None) is NO_TICKET
