"""The application's own tests: calls in memory, without a port, a key or a sleep."""

from collections.abc import Iterator

import flask_app
import pytest

from actors import lifecycle, messages
from router.simulator import Simulator
from router.testing import CallHarness, ProbeRef


@pytest.fixture(scope="module", autouse=True)
def router_closed_at_the_end() -> Iterator[None]:
    """Close the router, so that no thread is left behind."""
    yield
    flask_app.router.close(drain_s=0)


@pytest.fixture
def harness() -> Iterator[CallHarness]:
    """Place calls through the application's own router, with its functions and hooks."""
    with CallHarness(flask_app.router) as harness:
        yield harness


def test_the_page_names_the_address() -> None:
    """The application serves its pages as before."""
    assert "/voice" in flask_app.app.test_client().get("/").text


def test_a_caller_is_answered(harness: CallHarness, simulator: Simulator) -> None:
    """Hold a whole call, with the simulator for the model."""
    call = harness.call("openai", simulator=simulator)
    call.client.start()
    call.client.say("hello there")
    assert call.client.wait_for("ConversationText")["content"] == "hello there"
    assert "hello there" in call.client.wait_for("ConversationText")["content"]
    call.client.wait_for("AgentAudioDone")


def test_a_text_of_the_model_reaches_the_caller(harness: CallHarness) -> None:
    """Hold the same call with a scripted model."""
    call = harness.call("openai")
    call.client.send_settings()
    upstream = call.upstream()
    upstream.open_session()
    call.client.say("What is the time?")
    upstream.acknowledge_item()
    upstream.answer("Late.")
    call.client.wait_for("AgentDone")
    texts = [it for it in call.client.received if isinstance(it, dict) and it["type"] == "ConversationText"]
    assert [it["content"] for it in texts] == ["What is the time?", "Late."]


def test_a_test_sends_messages_to_a_single_actor(harness: CallHarness, probe: ProbeRef) -> None:
    """Test the translator of a session alone, with a probe in place of its client."""
    call = harness.call("converse")
    call.client.wait_for("Welcome")
    call.translator.tell(lifecycle.AttachClient(probe.ref))
    call.translator.tell(messages.ClientTextReceived('{"type":"InjectUserMessage","content":"too early"}'))
    assert "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS" in str(probe.wait_for(messages.SendToClient).frame)
    assert call.translator.ask(lifecycle.Describe(), timeout=5)["lifecycle"] == "awaiting Settings"
