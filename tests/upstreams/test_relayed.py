"""OpenAI's SDK through the relay, with both foreign servers as upstreams."""

from contextlib import contextmanager

import pytest

from tests.support.clients import openai_clients
from tests.support.machine.simulation import SILENCE, TONE
from tests.support.processes import children

pytestmark = pytest.mark.filterwarnings(openai_clients.LEGACY)

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@contextmanager
def connected(address):
    """Connect the SDK to a router."""
    with openai_clients.in_process(address) as client:
        client.wait_for("session.created")
        yield client
        client.close()
        assert not client.problems


@pytest.fixture(scope="module")
def mocked(aimock):
    with children.router("--upstream", aimock) as running:
        yield running.address


@pytest.fixture(scope="module")
def spoken(speech_to_speech):
    with children.router("--upstream", speech_to_speech) as running:
        yield running.address


def test_a_mock_answers_texts_and_calls_functions(mocked):
    with connected(mocked) as client:
        client.wire.announces_items = False
        call_a_function(client)


def call_a_function(client):
    client.configure(output_modalities=["text"], tools=[WEATHER])
    client.say("What is your favourite colour?")
    client.wait_for_answers(1)
    assert client.wire.text == "My favourite colour is teal."
    client.say("What is the weather in Paris?")
    call = client.wait_for("response.function_call_arguments.done")
    client.wait_for_answers(2)
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny, 21 degrees"}
    client.send("conversation.item.create", item=output)
    client.send("response.create")
    client.wait_for_answers(3)
    assert "sunny, 21 degrees" in client.wire.text


def test_a_server_that_announces_no_items_answers_texts_and_speech(spoken):
    with connected(spoken) as client:
        client.configure(instructions="Be brief.")
        client.say("What is your favourite colour?")
        client.wait_for_answers(1)
        client.speak(TONE * 10 + SILENCE * 15)
        client.wait_for_answers(2)
        assert client.wire.of("response.output_audio.delta")
