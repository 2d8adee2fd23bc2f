"""The targets of upstreams, their headers, and an upstream that is dialled before its session comes."""

import pytest

from actors.connections.memory import memory_pair
from actors.connections.upstream import DialError, DialFailure
from router import Request, RouterConfig, Secret
from router.access.request import Principal
from router.assembly import dialling
from router.assembly.dialling import SAFETY_HEADER
from router.assembly.factory import SessionFactory
from router.config.model import Safety
from router.config.route import Route
from router.config.upstream import Upstream
from router.fronts.deepgram_agent.machine import ROUTE
from router.hooks import Hooks
from router.tools.registry import FunctionRegistry

KEY = "sk-test-0123456789abcdef"


def test_each_principal_has_a_safety_identifier_of_its_own_that_shows_no_name():
    config = RouterConfig(upstream="ws://h", openai_api_key=Secret(KEY), safety=Safety(identifier=True))
    factory = SessionFactory(config, FunctionRegistry(), Hooks())

    def sent(name):
        principal = Principal(name) if name else None
        request = Request(path="/openai", profile="openai", query={}, headers={}, principal=principal)
        target = factory.of("s", request, None, perform=print, on_end=print).dial_target("gpt-realtime", 0)
        return dict(target.headers).get(SAFETY_HEADER)

    assert sent("ada@example.com") == sent("ada@example.com") != sent("bob")
    assert len(sent("ada@example.com")) == 64
    assert "ada" not in sent("ada@example.com")
    assert sent(None) is None


def test_without_the_setting_no_safety_identifier_is_sent():
    factory = SessionFactory(RouterConfig(upstream="ws://h"), FunctionRegistry(), Hooks())
    request = Request(path="/openai", profile="openai", query={}, headers={}, principal=Principal("ada"))
    target = factory.of("s", request, None, perform=print, on_end=print).dial_target("m", 0)
    assert SAFETY_HEADER not in dict(target.headers)


# In advance.

REQUEST = Request(path="/openai", profile="openai", query={}, headers={})


@pytest.fixture
def dialled(monkeypatch):
    """Dial in memory. Return the targets with their connections."""
    made = []

    def dial(target):
        if "down" in target.url:
            raise DialError(DialFailure.TCP)
        made.append((target, memory_pair()[0]))
        return made[-1][1]

    monkeypatch.setattr(dialling, "dial", dial)
    return made


def factory_of(*urls):
    config = RouterConfig(upstreams=tuple(Upstream(url=url, weight=1.0) for url in urls))
    return SessionFactory(config, FunctionRegistry(), Hooks())


def sessions(factory):
    """Return the sessions of each upstream's key."""
    return [row["keys"][0]["sessions"] for row in factory.pool.rows()]


def ended(connection):
    return connection._is_ended


def test_the_session_gets_the_upstream_that_was_dialled_for_it_and_dials_the_next_one_itself(dialled):
    factory = factory_of("ws://one", "ws://two")
    ahead = factory.dial_ahead(REQUEST, "m")
    assert sessions(factory) == [1, 0]
    spec = factory.of("s", REQUEST, None, perform=print, on_end=print, ahead=ahead)
    target = spec.dial_target("m", spec.choose([0, 1], None))
    assert spec.dialler(target) is dialled[0][1]
    assert len(dialled) == 1
    assert spec.dialler(target) is dialled[1][1]
    spec.on_end()
    assert not ended(dialled[0][1])


def test_an_upstream_that_the_session_cannot_choose_is_closed(dialled):
    factory = factory_of("ws://one", "ws://two")
    ahead = factory.dial_ahead(REQUEST, "m")
    spec = factory.of("s", REQUEST, None, perform=print, on_end=print, ahead=ahead)
    assert spec.choose([1], None) == 1
    assert spec.dialler(spec.dial_target("m", 1)) is dialled[1][1]
    assert ended(dialled[0][1])
    assert sessions(factory) == [0, 1]


def test_an_upstream_that_no_session_uses_is_closed_at_its_end(dialled):
    factory = factory_of("ws://one")
    ahead = factory.dial_ahead(REQUEST, "m")
    factory.of("s", REQUEST, None, perform=print, on_end=print, ahead=ahead).on_end()
    assert ended(dialled[0][1])
    assert sessions(factory) == [0]


def test_a_dial_in_advance_that_fails_leaves_no_session(dialled):
    factory = factory_of("ws://down")
    with pytest.raises(DialError):
        factory.dial_ahead(REQUEST, "m")
    assert sessions(factory) == [0]
    assert dialled == []


def test_nothing_is_dialled_for_a_session_that_has_no_upstream_of_the_list(dialled):
    factory = factory_of("ws://one")
    factory.switches.pause(0, is_paused=True)
    assert factory.dial_ahead(REQUEST, "m") is None
    assert dialled == []


@pytest.mark.parametrize(("profile", "failover"), [("deepgram", False), ("deepgram", True), ("deepgram-listen", False)])
def test_the_backend_of_a_relay_is_dialled_in_advance(dialled, profile, failover):
    path = "/relay"
    routes = (Route(path=path, front="deepgram", failover=failover),)
    config = RouterConfig(upstream="ws://one", deepgram_api_key=Secret("dg-0123456789"), routes=routes)
    factory = SessionFactory(config, FunctionRegistry(), Hooks())
    request = Request(path=path, route=path, profile=profile, query={}, headers={})
    ahead = factory.dial_ahead(request, ROUTE)
    spec = factory.of("s", request, None, perform=print, on_end=print, ahead=ahead)
    position = spec.choose(list(range(spec.upstreams)), None)
    assert spec.dialler(spec.dial_target(ROUTE, position)) is dialled[0][1]
    assert len(dialled) == 1


def test_nothing_is_dialled_in_advance_for_a_call_that_deepgram_serves(dialled):
    assert factory_of("ws://one").dial_ahead(REQUEST, ROUTE) is None
    assert dialled == []
