"""The end-to-end list of the requirements, over the console.

The names are those of the list (docs/console.md). `E2E_BACKEND` chooses the backend, `openai` or `deepgram`;
`E2E_ENDPOINT` aims the page at another router, such as `ws://localhost:8080/openai`; `E2E_FRONT=nginx` puts nginx with
TLS in front of the router.
"""

import os
import socket
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.support.clients.console_page import console_page
from tests.support.processes import tls_front

BACKEND = os.environ.get("E2E_BACKEND", "openai")
ENDPOINT = os.environ.get("E2E_ENDPOINT", "")
FRONT = os.environ.get("E2E_FRONT", "")
WEATHER = "Sunny, 21 degrees"


@pytest.fixture(scope="module")
def place(router):
    """Where the console is served: the address, and what a page needs beside it."""
    if FRONT != "nginx":
        yield router.address, {}
        return
    with tls_front.nginx(router.address) as address:
        yield address, {"scheme": "https", "ignore_https_errors": True}


@pytest.fixture
def console(browser, place):
    """The console, aimed as the environment says."""
    address, context = place
    with console_page(browser, address, **context) as console:
        yield console.open(backend=BACKEND, **({"endpoint": quote(ENDPOINT)} if ENDPOINT else {}))


def reconnect(console):
    """Disconnect, and connect again; return the second Settings message."""
    console.button("Disconnect").click()
    console.wait_for_state("disconnected")
    console.connect()
    return console.wire("sent", "Settings")[-1]["agent"]


def test_connection(console):
    console.connect()
    assert len(console.wire("received", "SettingsApplied")) == 1
    expect(console.button("Send")).to_be_enabled()
    expect(console.entries("error")).to_have_count(0)


def test_greeting(console):
    console.set(Greeting="Good day to you!")
    console.connect()
    expect(console.said("assistant", "Good day to you!")).to_be_visible()


def test_single_message(console):
    console.set(Greeting="")
    console.connect()
    console.send("hi")
    expect(console.said("user", "hi")).to_be_visible()
    expect(console.entries("assistant")).to_be_visible()
    expect(console.entries("error")).to_have_count(0)


def test_multi_turn(console):
    console.set(Greeting="")
    console.connect()
    console.ask("My favourite colour is green.", "green")
    console.ask("What did I just say?", "My favourite colour is green.")
    expect(console.entries("user")).to_have_count(2)


def test_reconnection(console):
    console.connect()
    console.ask("My name is Ada.", "I will remember that")
    console.button("Disconnect").click()
    console.wait_for_state("disconnected")
    console.send("Are you there again?")
    console.wait_for_state("ready", "speaking", "thinking")
    expect(console.said("assistant", "Are you there again?")).to_be_visible()


def test_basic_audio(console):
    console.set(Greeting="")
    console.button("Talk").click()
    expect(console.entries("user")).to_be_visible()
    expect(console.entries("assistant")).to_contain_text("I heard you speak")
    console.wait_for_sound()


def test_simple_function_calling(console):
    console.connect()
    console.send("What is the weather in Paris?")
    expect(console.entries("function")).to_contain_text("get_weather")
    expect(console.said("assistant", WEATHER)).to_be_visible()


def test_reconnection_with_context(console):
    console.connect()
    console.ask("My name is Ada.", "I will remember that")
    agent = reconnect(console)
    assert "greeting" not in agent
    assert [message["role"] for message in agent["context"]["messages"]] == ["assistant", "user", "assistant"]
    console.ask("What is my name?", "Ada")


def test_error_handling(console):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    console.expected = ("WebSocket connection",)
    console.field("Endpoint").fill(f"ws://127.0.0.1:{port}/openai")
    console.button("Connect").click()
    expect(console.entries("error")).to_be_visible()
    console.wait_for_state("disconnected")


def test_should_receive_agent_response_after_first_text_message(console):
    console.set(Greeting="")
    console.connect()
    console.send("Hello! Please answer with one short sentence.")
    expect(console.entries("assistant")).to_be_visible()
    console.wait_for_wire("received", "AgentAudioDone")
    console.wait_for_state("speaking", "ready")


def test_should_retain_context_when_disconnecting_and_reconnecting_agent_uses_context(console):
    console.connect()
    console.ask("I am looking for running shoes.", "running shoes")
    reconnect(console)
    console.ask("What did I say before?", "running shoes")


def test_should_verify_context_format_in_settings_message(console):
    console.connect()
    console.ask("I am looking for running shoes.", "running shoes")
    messages = reconnect(console)["context"]["messages"]
    assert {"type": "History", "role": "user", "content": "I am looking for running shoes."} in messages
    assert all(set(message) == {"type", "role", "content"} for message in messages)


def test_should_retain_context_when_disconnecting_and_reconnecting_with_function_calling_enabled(console):
    console.page.evaluate(
        """() => {
          window.requests = [];
          window.handleFunctionCall = (call, respond) => {
            window.requests.push(call);
            respond({ id: call.id, result: { sky: "a rainbow" } });
          };
        }"""
    )
    console.connect()
    console.ask("What is the weather in Paris?", "a rainbow")
    (call,) = console.page.evaluate("window.requests")
    assert (call["name"], call["client_side"]) == ("get_weather", True)
    messages = reconnect(console)["context"]["messages"]
    (recalled,) = [each["function_calls"][0] for each in messages if "function_calls" in each]
    assert (recalled["name"], recalled["response"]) == ("get_weather", '{"sky":"a rainbow"}')
    console.ask("What did you say?", "a rainbow")
