"""The spec of a session: what it takes from the configuration."""

import pytest

from actors.connections.base import ConnectionLimits
from router import Deadlines, Limits, Request, RouterConfig, Secret
from router.hooks import Hooks
from router.session_factory import JOINED_AUDIO_BYTES, SessionFactory
from router.tools.registry import FunctionRegistry

KEY = "sk-test-0123456789abcdef"


def redact_of(config):
    request = Request(path="/openai", profile="openai", query={}, headers={})
    factory = SessionFactory(config, FunctionRegistry(), Hooks())
    return factory.of("s", request, None, perform=print, on_end=print).machine.context.options.redact


def test_a_connection_has_the_engine_s_own_limits_unless_the_configuration_changes_them():
    factory = SessionFactory(RouterConfig(), FunctionRegistry(), Hooks())
    assert factory.limits == ConnectionLimits(join_binary_bytes=JOINED_AUDIO_BYTES)
    changed = RouterConfig(limits=Limits(write_buffer_bytes=70_000), deadlines=Deadlines(close_s=3.0))
    limits = SessionFactory(changed, FunctionRegistry(), Hooks()).limits
    assert (limits.write_buffer_bytes, limits.close_timeout_s) == (70_000, 3.0)


@pytest.mark.parametrize("spelled", ["a/b+c=defgh", "a%2Fb%2Bc%3Ddefgh"])
def test_a_key_of_the_url_is_redacted_from_what_clients_are_sent(spelled):
    """A server may repeat the key decoded, and a proxy as it was sent."""
    redact = redact_of(RouterConfig(upstream="ws://h/?key=a%2Fb%2Bc%3Ddefgh"))
    assert redact(f"{spelled} is no key") == "[redacted] is no key"


def test_a_key_that_begins_like_another_is_redacted_to_its_end():
    config = RouterConfig(upstream=f"ws://h/?key={KEY}-of-theirs", openai_api_key=Secret(KEY))
    assert redact_of(config)(f"{KEY}, {KEY}-of-theirs") == "[redacted], [redacted]"


def test_without_a_credential_a_text_stays_as_it_is():
    assert redact_of(RouterConfig(upstream="ws://h"))("nothing of the kind") == "nothing of the kind"
