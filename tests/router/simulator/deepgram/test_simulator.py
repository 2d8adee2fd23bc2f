"""The simulated Voice Agent as a server."""

import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from router.simulator import SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients import deepgram_python

pytestmark = pytest.mark.slow


@pytest.fixture
def simulator():
    with DeepgramSimulator(SimulatorConfig(pace=0, required_key="right")) as simulator:
        yield simulator


@pytest.mark.parametrize(
    "how", [{"additional_headers": {"Authorization": "Token right"}}, {"subprotocols": ["token", "right"]}]
)
def test_a_client_with_the_key_is_welcomed(simulator, how):
    with connect(simulator.url, **how) as client:
        assert json.loads(client.recv(5))["type"] == "Welcome"
        assert client.subprotocol == ("token" if "subprotocols" in how else None)
    assert simulator.url.endswith("/v1/agent/converse")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Token wrong"}, {"Authorization": "Basic right"}])
def test_any_other_client_is_refused_before_the_upgrade(simulator, headers):
    with pytest.raises(InvalidStatus) as refused:
        connect(simulator.url, additional_headers=headers)
    assert refused.value.response.status_code == 401
    assert simulator.connections[-1].refused_status == 401


@pytest.mark.parametrize("kind", [deepgram_python.SynchronousClient, deepgram_python.AsynchronousClient])
def test_deepgram_s_own_sdk_holds_a_conversation(kind):
    with DeepgramSimulator(SimulatorConfig(pace=0)) as simulator:
        address = simulator.url.removeprefix("ws://").removesuffix("/v1/agent/converse")
        with deepgram_python.connected(kind, address) as client:
            client.send("Settings", audio={"input": {"encoding": "linear16", "sample_rate": 16000}}, agent={})
            client.wait_for("SettingsApplied")
            client.send("InjectUserMessage", content="I like tea")
            turn = client.wait_for("AgentAudioDone")
            assert turn.text("assistant") == 'You said: "I like tea" I will remember that.'
            assert turn.audio
            assert client.errors == []
        assert simulator.connections[0].types() == ["Settings", "InjectUserMessage"]
