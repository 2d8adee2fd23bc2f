"""The application's own tests: calls in memory. No port is opened, no key needed, nobody sleeps."""

from collections.abc import Iterator

import flask_app
import pytest

from actors import lifecycle, messages
from router.simulator import Simulator
from router.testing import CallHarness, ProbeRef


@pytest.fixture(scope="module", autouse=True)
def closed_in_the_end() -> Iterator[None]:
    """Leave no thread behind."""
    yield
    flask_app.router.close(drain_s=0)


@pytest.fixture
def board() -> Iterator[CallHarness]:
    """Calls through the application's own router, with its functions and hooks."""
    with CallHarness(flask_app.router) as board:
        yield board


def test_the_page_says_where_to_call() -> None:
    """The application goes on being one."""
    assert "/voice" in flask_app.app.test_client().get("/").text


def test_a_caller_is_answered(board: CallHarness, simulator: Simulator) -> None:
    """A whole call, with the simulator for the model."""
    call = board.call("openai", simulator=simulator)
    call.client.start()
    call.client.say("hello there")
    assert call.client.wait_for("ConversationText")["content"] == "hello there"
    assert "hello there" in call.client.wait_for("ConversationText")["content"]
    call.client.wait_for("AgentAudioDone")


def test_what_the_model_says_reaches_the_caller(board: CallHarness) -> None:
    """The same, with a model that says what the test says."""
    call = board.call("openai")
    call.client.settle()
    upstream = call.upstream()
    upstream.say_hello()
    call.client.say("What is the time?")
    upstream.take_item()
    upstream.answer("Late.")
    call.client.wait_for("AgentDone")
    said = [it for it in call.client.received if isinstance(it, dict) and it["type"] == "ConversationText"]
    assert [it["content"] for it in said] == ["What is the time?", "Late."]


def test_an_actor_can_be_told_and_asked(board: CallHarness, probe: ProbeRef) -> None:
    """One actor by itself: the session's translator, with a probe for its client."""
    call = board.call("converse")
    call.client.wait_for("Welcome")
    call.translator.tell(lifecycle.AttachClient(probe.ref))
    call.translator.tell(messages.ClientTextReceived('{"type":"InjectUserMessage","content":"too early"}'))
    assert "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS" in str(probe.wait_for(messages.SendToClient).frame)
    assert call.translator.ask(lifecycle.Describe(), timeout=5)["lifecycle"] == "awaiting Settings"
