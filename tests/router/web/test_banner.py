"""The banner at the start."""

import pytest

from router.config.model import RouterConfig
from router.secrets import Secret
from router.web.banner import addresses, banner, framed

KEY = "sk-proj-0123456789-never-shown"


def test_the_banner_names_the_addresses_and_the_upstream():
    config = RouterConfig(upstream="openai", openai_api_key=Secret(KEY), path="/voice")
    text = banner(config, 9001)
    for line in (
        "http://127.0.0.1:9001\n",
        "ws://127.0.0.1:9001/voice\n",
        "ws://127.0.0.1:9001/v1/agent/converse\n",
        "wss://api.openai.com/v1/realtime, model gpt-realtime-2.1, with OPENAI_API_KEY\n",
    ):
        assert line in text
    assert KEY not in text
    assert "SIMULATOR" not in text


def test_the_query_of_the_upstream_is_not_shown_but_its_model_is():
    text = banner(RouterConfig(upstream="wss://h/x?api-key=0123456789&model=own"), 1)
    assert "wss://h/x, model own, without a key" in text
    assert "0123456789" not in text


def test_the_simulator_is_announced_in_a_frame():
    text = banner(RouterConfig(), 1)
    assert "SIMULATOR" in text
    assert "OPENAI_API_KEY" in text
    assert "*" * 40 in text


def test_colours_are_for_terminals():
    assert "\x1b[" in banner(RouterConfig(), 1, colors=True)
    assert "\x1b[" not in banner(RouterConfig(), 1)


@pytest.mark.parametrize(
    ("host", "http"),
    [
        ("127.0.0.1", "http://127.0.0.1:5"),
        ("0.0.0.0", "http://127.0.0.1:5"),
        ("::", "http://[::1]:5"),
        ("::1", "http://[::1]:5"),
        ("voice.example", "http://voice.example:5"),
    ],
)
def test_a_client_can_connect_to_the_address(host, http):
    config = RouterConfig(host=host)
    assert addresses(config, 5)["http"] == http
    assert host in banner(config, 5)


def test_a_frame_is_a_rectangle():
    assert framed(("a", "bcd")) == ["*********", "** a   **", "** bcd **", "*********"]
