"""The address of Deepgram's Voice Agent."""

import pytest

from actors.connections.base import ConnectionLimits
from router.config.model import RouterConfig
from router.fronts.deepgram_agent.front import RELAY, dial_target
from router.secrets import Secret

KEY = "dg-0123456789"


def test_the_key_is_sent_to_deepgram():
    target = dial_target(RouterConfig(deepgram_api_key=Secret(KEY)), ConnectionLimits(), {})
    assert target.url == "wss://agent.deepgram.com/v1/agent/converse"
    assert target.headers == (("Authorization", f"Token {KEY}"),)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("ws://127.0.0.1:9000", "ws://127.0.0.1:9000/v1/agent/converse"),
        ("wss://api.eu.deepgram.com/", "wss://api.eu.deepgram.com/v1/agent/converse"),
        ("ws://here.example/own/path", "ws://here.example/own/path"),
    ],
)
def test_another_server_may_be_named_with_or_without_a_path(written, url):
    assert dial_target(RouterConfig(deepgram_agent_url=written), ConnectionLimits(), {}).url == url
    assert dial_target(RouterConfig(deepgram_agent_url=written), ConnectionLimits(), {}).headers == ()


def test_the_front_has_an_upstream_of_its_own():
    assert (RELAY.name, RELAY.dial_target) == ("deepgram", dial_target)
