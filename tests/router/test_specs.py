"""What the engine is told of a session."""

import pytest

from router import Request, RouterConfig, Secret
from router.hooks import Hooks
from router.session_factory import SessionFactory
from router.tools.registry import FunctionRegistry

KEY = "sk-test-0123456789abcdef"


def spec_of(config):
    request = Request(path="/openai", profile="openai", query={}, headers={})
    specs = SessionFactory(config, FunctionRegistry(most_bytes=1), Hooks())
    return specs.of("s", request, None, perform=print, on_end=print)


@pytest.mark.parametrize("spelled", ["a/b+c=defgh", "a%2Fb%2Bc%3Ddefgh"])
def test_a_key_is_redacted_however_it_is_spelled(spelled):
    """A server may repeat what stood in the URL as it was meant, or a proxy what it was given as it was sent."""
    redact = spec_of(RouterConfig(upstream="ws://h/?key=a%2Fb%2Bc%3Ddefgh")).machine.context.options.redact
    assert redact(f"{spelled} is no key") == "[redacted] is no key"


def test_a_key_that_begins_like_another_is_redacted_to_its_end():
    config = RouterConfig(upstream=f"ws://h/?key={KEY}-of-theirs", openai_api_key=Secret(KEY))
    redact = spec_of(config).machine.context.options.redact
    assert redact(f"{KEY}, {KEY}-of-theirs") == "[redacted], [redacted]"
