"""The right of a request to begin a session."""

import time

import pytest

from actors.connections.handover import HandshakeRefused
from router import Principal, Request, RouterConfig
from router.access.request import Terms
from router.access.session_limits import NO_TICKET
from router.config.auth import Auth, named_tokens
from router.config.model import Limits
from router.config.policy_table import parse
from router.establish import authorize
from router.establish.parts import Parts
from router.hooks import Hooks

UPGRADE = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}


def parts_with(**settings):
    return Parts(RouterConfig(upstream="ws://nowhere.invalid", **settings), Hooks())


def request_of(**more):
    return Request(**{"path": "/openai", "profile": "openai", "query": {}, "headers": {}, "credential": None, **more})


def with_single_use():
    return request_of(principal=Principal("ada", expires_s=time.time() + 30, terms=Terms("token")))


def refused(call, *arguments):
    with pytest.raises(HandshakeRefused) as caught:
        call(*arguments)
    return caught.value.status


def test_without_authentication_a_request_has_no_principal():
    assert authorize.identify(parts_with(), request_of(), "s").principal is None


def test_a_wrong_token_is_refused():
    parts = parts_with(auth=Auth(kinds=("token",), tokens=named_tokens("alice=secret-token")))
    assert refused(authorize.identify, parts, request_of(credential="wrong"), "s") == 401


def test_a_single_use_token_is_refused_at_its_second_use():
    parts = parts_with()
    authorize.spend(parts, with_single_use())
    assert refused(authorize.spend, parts, with_single_use()) == 401
    authorize.spend(parts, request_of(principal=Principal("ada")))
    authorize.spend(parts, request_of())


def test_a_single_use_token_stays_unused_where_a_limit_refuses_the_session():
    parts = parts_with(limits=Limits(max_sessions=1))
    ticket = authorize.ticket_for(parts, UPGRADE, request_of())
    authorize.spend(parts, with_single_use())
    assert refused(authorize.ticket_for, parts, UPGRADE, with_single_use()) == 429
    authorize.spend(parts, with_single_use())
    ticket.release()
    authorize.ticket_for(parts, UPGRADE, with_single_use()).release()


def test_a_policy_has_limits_of_its_own_for_each_of_its_clients():
    held = parse({"trial": {"limits": {"max_sessions_per_principal": 1}}, "default": {}})
    parts = parts_with(policies=held)
    ada, bob, eve = (request_of(principal=Principal(name, policy="trial")) for name in ("ada", "bob", "eve"))
    authorize.ticket_for(parts, UPGRADE, ada)
    assert refused(authorize.ticket_for, parts, UPGRADE, ada) == 429
    authorize.ticket_for(parts, UPGRADE, bob).release()
    authorize.ticket_for(parts, UPGRADE, bob)
    free = request_of(principal=Principal("eve"))
    tickets = [authorize.ticket_for(parts, UPGRADE, free) for _ in range(2)]
    assert refused(authorize.ticket_for, parts, UPGRADE, eve) == 429
    for ticket in tickets:
        ticket.release()
    authorize.ticket_for(parts, UPGRADE, eve)


def test_a_telephone_has_the_limits_of_no_policy():
    parts = parts_with(policies=parse({"default": {"limits": {"max_sessions_per_address": 1}}}))
    calls = [request_of(path="/twilio", profile="twilio", remote_address="203.0.113.7") for _ in range(2)]
    for call in calls:
        authorize.ticket_for(parts, UPGRADE, call)
    assert refused(authorize.ticket_for, parts, UPGRADE, request_of(remote_address="203.0.113.7")) == 429


def test_a_policy_has_its_own_sums_of_a_day():
    parts = parts_with(policies=parse({"trial": {"limits": {"max_tokens_per_day": 100}}}))
    ada = request_of(principal=Principal("ada", policy="trial"))
    ticket = authorize.ticket_for(parts, UPGRADE, ada)
    assert ticket.spend(100, 0.0, 0) == (100, 0.0, 0)
    assert refused(authorize.ticket_for, parts, UPGRADE, ada) == 429
    authorize.ticket_for(parts, UPGRADE, request_of(principal=Principal("ada")))


def test_a_plain_request_takes_no_place():
    assert authorize.ticket_for(parts_with(limits=Limits(max_sessions=1)), {}, request_of()) is NO_TICKET
