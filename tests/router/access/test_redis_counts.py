"""The counts of several machines, over Debian's Redis: each `Admission` here has the memory of a machine of its own."""

import threading
import time

import pytest
import redis

from actors.connections.handover import HandshakeRefused
from router.access import redis_counts
from router.access.redis_counts import RedisCounts
from router.access.request import Principal, Terms
from router.access.session_limits import Admission, SharedLimits
from router.config.model import Limits
from router.errors import ConfigError
from tests.support.processes.redis_server import redis_server

pytestmark = pytest.mark.slow

WAIT_S = 10.0


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def machines(server):
    made = []

    def make(**limits):
        limits = Limits(store=server.url, **limits)
        admission = Admission(SharedLimits(limits), on_store_away=away.release)
        made.append(admission)
        return admission

    away = threading.Semaphore(0)
    make.away = away
    yield make
    for admission in made:
        admission.close()
    flush(server)


def client(server):
    return redis_counts.client_of(Limits(store=server.url))


def flush(server):
    with client(server) as connection:
        connection.flushall()


def refusal(admission, address="203.0.113.7", principal=None):
    with pytest.raises(HandshakeRefused) as caught:
        admission.admit(address, principal)
    return caught.value.status, caught.value.description, int(dict(caught.value.headers)["Retry-After"])


def until(condition):
    step = threading.Event()
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return True
        step.wait(0.01)
    return False


def admits(admission, *who):
    try:
        admission.admit(*who)
    except HandshakeRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("limits", "who", "words"),
    [
        ({"max_sessions": 2}, None, "too many sessions:"),
        ({"max_sessions_per_address": 2}, None, "too many sessions from this address"),
        ({"max_sessions_per_principal": 2}, "ada", "too many sessions of this client"),
        ({"max_pending_sessions": 2}, None, "too many sessions wait for their Settings"),
        ({"new_sessions": "2/hour"}, None, "too many new sessions"),
    ],
)
def test_two_machines_count_together(machines, limits, who, words):
    one, other = machines(**limits), machines(**limits)
    one.admit("203.0.113.7", who)
    other.admit("203.0.113.7", who)
    status, description, retry_s = refusal(one, principal=who)
    assert (status, description.startswith(words), retry_s >= 1) == (429, True, True)
    assert refusal(other, principal=who)[0] == 429


def test_a_session_that_ends_makes_room_on_every_machine(machines):
    one, other = machines(max_sessions=1), machines(max_sessions=1)
    ticket = one.admit(None, None)
    refusal(other)
    ticket.release()
    assert until(lambda: admits(other, None, None))


def test_a_session_with_settings_waits_no_more(machines):
    one, other = machines(max_pending_sessions=1), machines(max_pending_sessions=1)
    one.admit(None, None).settle()
    assert until(lambda: admits(other, None, None))


def test_the_sessions_of_a_machine_that_failed_leave_with_their_lease(machines, monkeypatch):
    monkeypatch.setattr(redis_counts, "LEASE_S", 0.2)
    failed, other = machines(max_sessions=1), machines(max_sessions=1)
    failed.admit(None, None)
    assert until(lambda: admits(other, None, None))


def test_a_lease_is_renewed(machines, monkeypatch, server):
    monkeypatch.setattr(redis_counts, "LEASE_S", 1.0)
    monkeypatch.setattr(redis_counts, "RENEW_S", 0.05)
    one = machines(max_sessions=1)
    one.admit(None, None)
    with client(server) as connection:
        (first,) = connection.zrange(f"{redis_counts.PREFIX}sessions", 0, -1, withscores=True)
        assert until(lambda: connection.zscore(f"{redis_counts.PREFIX}sessions", first[0]) > first[1] + 0.2)


@pytest.mark.parametrize(
    ("limit", "sums"),
    [("max_tokens_per_day", lambda tokens: (tokens, 0.0, 0)), ("max_turns_per_day", lambda turns: (0, 0.0, turns))],
)
def test_the_sums_of_a_day_count_together_and_close_the_door(machines, limit, sums):
    one, other = machines(**{limit: 100}), machines(**{limit: 100})
    first, second = one.admit(None, "ada"), other.admit(None, "ada")
    assert first.spend(*sums(60)) == sums(60)
    assert until(lambda: second.spend(*sums(0)) == sums(60))
    assert second.spend(*sums(50)) == sums(110)
    assert until(lambda: not admits(one, None, "ada"))
    status, description, retry_s = refusal(one, principal="ada")
    assert (status, "of today" in description, 0 < retry_s <= 86_400) == (429, True, True)
    other.admit(None, "bob")


@pytest.mark.parametrize("store_away", ["open", "closed"])
def test_without_redis_the_configuration_decides_and_the_counts_arrive_later(store_away):
    with redis_server() as server:
        limits = Limits(store=server.url, max_tokens_per_day=100, max_sessions=2, store_away=store_away)
        away = []
        admission = Admission(SharedLimits(limits), on_store_away=lambda: away.append(1))
        ticket = admission.admit(None, "ada")
        server.stop()
        if store_away == "open":
            admission.admit(None, "ada")
            assert refusal(admission)[0] == 429  # this machine counts alone
        else:
            assert refusal(admission)[::2] == (503, 5)
        assert away
        assert ticket.spend(70, 0.0, 0) == (70, 0.0, 0)
        server.start()
        with client(server) as connection:
            assert until(lambda: any("70" in connection.hvals(key) for key in connection.scan_iter("*day:*")))
        admission.close()


def test_without_redis_the_tokens_of_this_server_refuse_a_new_session():
    with redis_server() as server:
        admission = Admission(SharedLimits(Limits(store=server.url, max_tokens_per_day=10, store_away="open")))
        ticket = admission.admit(None, "ada")
        server.stop()
        ticket.spend(50, 0.0, 0)
        assert refusal(admission, principal="ada")[0] == 429
        admission.admit(None, "bob")
        admission.close()


def test_a_session_from_another_process_counts_and_spends_in_redis(machines, server, monkeypatch):
    monkeypatch.setattr(redis_counts, "RENEW_S", 0.05)
    one, other = machines(max_sessions=1, max_tokens_per_day=100), machines(max_sessions=1, max_tokens_per_day=100)
    ticket = one.readmit(None, "ada")
    with client(server) as connection:
        assert until(lambda: connection.zcard(f"{redis_counts.PREFIX}sessions") == 1)
        assert refusal(other)[0] == 429
        ticket.release()
        assert until(lambda: connection.zcard(f"{redis_counts.PREFIX}sessions") == 0)
        ticket.spend(100, 0.0, 0)
        assert until(lambda: any("100" in connection.hvals(key) for key in connection.scan_iter("*day:*")))
    assert refusal(other, principal="ada")[0] == 429


@pytest.mark.parametrize("store_away", ["open", "closed"])
def test_a_session_whose_answer_was_late_counts_once_and_for_its_own_time(machines, server, store_away):
    admission = machines(max_sessions=5, store_away=store_away)
    counts = admission._remote
    admit = counts._admit

    def late(**arguments):
        admit(**arguments)
        raise redis.TimeoutError

    counts._admit = late
    if store_away == "open":
        ticket = admission.admit(None, None)
        with client(server) as connection:
            assert connection.zcard(f"{redis_counts.PREFIX}sessions") == 1
        ticket.release()
    else:
        assert refusal(admission)[0] == 503
    with client(server) as connection:
        assert until(lambda: connection.zcard(f"{redis_counts.PREFIX}sessions") == 0)


def holder():
    return Principal("ada", expires_s=time.time() + 30, terms=Terms("one of ada"))


def test_a_token_for_one_session_is_used_once_over_all_machines(machines, server):
    one, other = machines(), machines()
    assert one.spend(holder())
    assert not other.spend(holder())
    assert not one.spend(holder())
    with client(server) as connection:
        (key,) = connection.scan_iter(f"{redis_counts.PREFIX}used:*")
        assert 30 < connection.ttl(key) <= 30 + redis_counts.SKEW_S
        assert "ada" not in key
    one.restore(holder())
    assert other.spend(holder())


def test_a_token_that_opened_no_session_is_good_on_another_machine(machines):
    one, other = machines(), machines()
    assert one.spend(holder())
    one.restore(holder())
    assert other.spend(holder())
    one.restore(holder())  # of another machine's use
    assert not machines().spend(holder())


@pytest.mark.parametrize("store_away", ["open", "closed"])
def test_without_redis_the_configuration_decides_on_a_token_and_redis_learns_of_it_later(store_away):
    with redis_server() as server:
        away = []
        limits = SharedLimits(Limits(store=server.url, store_away=store_away))
        admission = Admission(limits, on_store_away=lambda: away.append(1))
        server.stop()
        if store_away == "open":
            assert admission.spend(holder())
            assert not admission.spend(holder()), "this machine remembers it"
        else:
            with pytest.raises(HandshakeRefused) as caught:
                admission.spend(holder())
            assert caught.value.status == 503
        assert away == [1]
        server.start()
        another = Admission(SharedLimits(Limits(store=server.url)))
        with client(server) as connection:
            if store_away == "open":
                assert until(lambda: list(connection.scan_iter(f"{redis_counts.PREFIX}used:*")))
        assert another.spend(holder()) is (store_away == "closed")
        admission.close()
        another.close()


def test_a_url_that_is_none_of_redis_stops_the_start():
    with pytest.raises(ConfigError, match="must be a URL such as redis://"):
        SharedLimits(Limits(store="http://here"))


def test_no_name_of_a_client_is_in_redis(machines, server):
    machines(max_sessions=9, max_tokens_per_day=9).admit("203.0.113.7", "ada.lovelace").spend(1, 0.0, 0)
    with client(server) as connection:
        assert until(lambda: any(":day:" in key for key in connection.scan_iter()))
        assert not [key for key in connection.scan_iter() if "lovelace" in key or "203" in key]


def test_a_client_of_redis_that_was_never_used_ends(server):
    RedisCounts(Limits(store=server.url)).close()


def test_a_token_that_is_restored_while_its_late_use_is_sent_is_good_on_another_machine(machines, monkeypatch):
    one, other = machines(), machines()
    counts, expires_s = one._remote, holder().expires_s
    send, key = counts._use, redis_counts._token_key("one of ada")
    counts._late_tokens[key] = redis_counts._Late(expires_s, is_used=True)

    def use(**arguments):
        counts.restore_token("one of ada", expires_s)
        return send(**arguments)

    monkeypatch.setattr(counts, "_use", use)
    counts._send_tokens()
    counts._send_tokens()
    assert other.spend(holder())


def test_tokens_that_expired_while_redis_was_away_are_forgotten(machines):
    counts = machines()._remote
    for number in range(1000):
        counts._note_late(f"old {number}", redis_counts._Late(time.time() - 3600, is_used=True))
    assert len(counts._late_tokens) <= 2
