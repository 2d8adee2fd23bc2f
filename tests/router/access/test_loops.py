"""Calls that come back to the router."""

import pytest

from actors.connections.handover import HandshakeRefused
from router.access.loops import HEADER, MAX_ROUTERS, OWN_ID, check, mark
from router.testing import CallHarness


def test_a_call_of_another_client_or_router_passes():
    check({})
    check({HEADER.lower(): "abc, def"})


def test_a_call_that_came_through_this_router_is_refused():
    name, value = mark({})
    for headers in ({name.lower(): value}, {name.lower(): f"abc, {value}"}):
        with pytest.raises(HandshakeRefused) as caught:
            check(headers)
        assert caught.value.status == 508


def test_a_call_through_many_routers_is_refused_whatever_their_ids_are():
    check({HEADER.lower(): ",".join("abc"[: MAX_ROUTERS - 1])})
    with pytest.raises(HandshakeRefused):
        check({HEADER.lower(): ",".join("abc"[:MAX_ROUTERS])})


def test_a_dial_is_marked_with_every_router_on_its_way():
    with CallHarness() as harness:
        first = harness.call()
        first.upstream()
        second = harness.call(headers={HEADER: "abc"})
        second.upstream()
    assert dict(first.targets[0].headers)[HEADER] == OWN_ID
    assert dict(second.targets[0].headers)[HEADER] == f"abc, {OWN_ID}"
