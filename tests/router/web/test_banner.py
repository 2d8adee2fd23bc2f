"""The banner at the start."""

import pytest

import router
from router.config.model import RouterConfig
from router.secrets import Secret
from router.web.banner import addresses, banner, framed

KEY = "sk-proj-0123456789-never-shown"


def test_the_banner_names_the_addresses_and_the_upstream():
    config = RouterConfig(upstream="openai", openai_api_key=Secret(KEY), path="/voice")
    text = banner(config, 9001)
    for line in (
        f"Switchboard {router.__version__} listens on http://127.0.0.1:9001/: open it, and talk\n",
        "ws://127.0.0.1:9001/voice\n",
        "ws://127.0.0.1:9001/v1/agent/converse\n",
        "wss://api.openai.com/v1/realtime, model gpt-realtime-2.1, with OPENAI_API_KEY\n",
    ):
        assert line in text
    assert KEY not in text
    assert "SIMULATOR" not in text


def test_a_router_without_a_console_has_no_page_to_open():
    text = banner(RouterConfig(console=False), 9001)
    assert text.startswith(f"Switchboard {router.__version__} listens on http://127.0.0.1:9001\n")


def test_the_query_of_the_upstream_is_not_shown_but_its_model_is():
    text = banner(RouterConfig(upstream="wss://h/x?api-key=0123456789&model=own"), 1)
    assert "wss://h/x, model own, without a key" in text
    assert "0123456789" not in text


def test_the_simulator_is_announced_in_a_frame():
    text = banner(RouterConfig(), 1)
    assert "SIMULATOR" in text
    assert "OPENAI_API_KEY" in text
    assert "*" * 40 in text


def test_the_frame_names_what_to_install_so_that_the_simulator_understands(monkeypatch):
    monkeypatch.setattr("router.simulator.speech.installed.find_spec", lambda _name: None)
    assert "To talk with it: pip install '.[voice]'" in banner(RouterConfig(), 1)
    monkeypatch.setattr("router.simulator.speech.installed.find_spec", lambda _name: True)
    assert "pip install" not in banner(RouterConfig(), 1)
    assert "voice is switched off" in banner(RouterConfig(simulator_voice=False), 1)


def test_a_language_model_behind_the_simulator_is_named_without_its_query():
    text = banner(RouterConfig(simulator_llm="http://localhost:11434/v1?key=0123456789"), 1)
    assert "the language model at http://localhost:11434/v1?key=*** answers" in text
    assert "0123456789" not in text


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
    assert ("every interface" in banner(config, 5)) == (host in ("0.0.0.0", "::"))


def test_a_frame_is_a_rectangle():
    assert framed(("a", "bcd")) == ["*********", "** a   **", "** bcd **", "*********"]
