"""The targets of upstreams, and their headers."""

from router import Request, RouterConfig, Secret
from router.access.request import Principal
from router.assembly.dialling import SAFETY_HEADER
from router.assembly.factory import SessionFactory
from router.config.model import Safety
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
