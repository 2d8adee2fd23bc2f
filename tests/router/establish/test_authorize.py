"""The right of a request to begin a session."""

import time

import pytest

from actors.connections.handover import HandshakeRefused
from router import Principal, Request, RouterConfig
from router.access.request import Terms
from router.access.session_limits import NO_TICKET
from router.config.auth import Auth, named_tokens
from router.config.model import Limits
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


def test_a_plain_request_takes_no_place():
    assert authorize.ticket_for(parts_with(limits=Limits(max_sessions=1)), {}, request_of()) is NO_TICKET
