"""Deepgram's own backend behind the router: its simulator, faults, and Deepgram's SDK as the client."""

import itertools
import os
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from router import Router
from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients import deepgram_javascript, deepgram_python
from tests.support.engine.links import wsgi_server

pytestmark = pytest.mark.slow

KEY = "dg-0123456789-never-shown"
LINEAR = {"encoding": "linear16", "sample_rate": 16000}
AUDIO = {"input": LINEAR, "output": LINEAR}
AGENT = {"greeting": "Hello there.", "think": {"prompt": "Be brief.", "provider": {"type": "open_ai", "model": "x"}}}
LOUD, QUIET = b"\x00\x20" * 320, b"\x00\x00" * 320

POINTS = (
    FaultPoint.ITEM_CREATE,
    FaultPoint.ITEM_ACKED,
    FaultPoint.MID_TEXT,
    FaultPoint.MID_AUDIO,
    FaultPoint.BEFORE_RESPONSE_DONE,
    FaultPoint.BETWEEN_TURNS,
)
ACTIONS = (
    {"action": FaultAction.CLOSE, "code": 1000},
    {"action": FaultAction.CLOSE, "code": 1011, "error_code": "INTERNAL_SERVER_ERROR"},
    {"action": FaultAction.RESET},
)


@pytest.fixture
def npm():
    """Return the folder where @deepgram/sdk is installed."""
    folder = os.environ.get("SWITCHBOARD_CLIENTS")
    if not folder:
        pytest.skip("SWITCHBOARD_CLIENTS names no folder with @deepgram/sdk (.ci/run makes one)")
    return Path(folder)


@contextmanager
def serving(**settings):
    """Serve a router's whole application. Yield its address."""
    router = Router(**settings).start()
    try:
        with wsgi_server(router.wsgi_app) as (host, port):
            yield f"{host}:{port}"
    finally:
        router.close(drain_s=0)


@contextmanager
def calling(*faults, **settings):
    """Place a call with Deepgram's SDK through the router to the simulator."""
    config = SimulatorConfig(pace=0, required_key=KEY, faults=faults)
    with (
        DeepgramSimulator(config) as upstream,
        serving(deepgram_api_key=KEY, deepgram_agent_url=upstream.url, **settings) as address,
        deepgram_python.connected(deepgram_python.SynchronousClient, f"{address}/deepgram") as client,
    ):
        yield client, upstream


def begin(client):
    client.send("Settings", audio=AUDIO, agent=AGENT)
    client.wait_for("SettingsApplied")
    assert client.wait_for("AgentAudioDone").text("assistant") == "Hello there."


def ask(client, text):
    client.send("InjectUserMessage", content=text)
    return client.wait_for("AgentAudioDone")


def test_the_protocol_passes_and_the_key_stays_on_the_server():
    with calling() as (client, upstream):
        begin(client)
        assert 'You said: "I like tea"' in ask(client, "I like tea").text("assistant")
        (record,) = upstream.connections
        assert record.headers["authorization"] == f"Token {KEY}"
        assert record.events[0] == {"type": "Settings", "audio": AUDIO, "agent": AGENT}
        assert client.errors == []


@pytest.mark.parametrize("how", ACTIONS, ids=lambda how: "-".join(str(value) for value in how.values()))
@pytest.mark.parametrize("point", POINTS)
def test_a_question_is_answered_although_the_upstream_is_lost_at_any_point(point, how):
    # The greeting passes some of the points first.
    skip = 0 if point in (FaultPoint.ITEM_CREATE, FaultPoint.ITEM_ACKED) else 1
    fault = Fault(point=point, skip=skip, first_connections=1, **how)
    if point is FaultPoint.MID_AUDIO:
        fault = Fault(point=point, skip=9, first_connections=1, **how)
    with calling(fault) as (client, upstream):
        begin(client)
        first = ask(client, "My name is Ada")
        assert "My name is Ada" in first.text("assistant")
        second = ask(client, "What do you remember?")
        assert "You said before: My name is Ada." in second.text("assistant")
        received = client.received
        assert len(upstream.connections) == 2
        assert [received.types.count(kind) for kind in ("Welcome", "SettingsApplied")] == [1, 1]
        spoken = [it["content"] for it in received.of("ConversationText")]
        assert spoken.count("Hello there.") == 1
        assert [it["content"] for it in received.of("ConversationText") if it["role"] == "user"] == [
            "My name is Ada",
            "What do you remember?",
        ]
        assert received.types.count("AgentAudioDone") == 3
        assert [it["code"] for it in received.of("Warning")] == ["UPSTREAM_RESTARTED"]
        assert received.of("Error") == []


def test_speech_that_was_under_way_is_heard_by_the_next_upstream():
    fault = Fault(point=FaultPoint.SPEECH_STARTED, action=FaultAction.CLOSE, code=1011, first_connections=1)
    with calling(fault) as (client, upstream):
        upstream.transcribe(["Good morning"])
        begin(client)
        for frame in itertools.repeat(LOUD, 20):
            client.send_audio(frame)
        client.wait_for("Warning")
        for frame in itertools.repeat(QUIET, 40):
            client.send_audio(frame)
        assert "Good morning" in client.wait_for("AgentAudioDone").text("user")
        assert client.received.types.count("UserStartedSpeaking") == 1


def test_an_upstream_that_is_lost_for_good_ends_in_an_error_and_a_close():
    fault = Fault(point=FaultPoint.ITEM_CREATE, action=FaultAction.CLOSE, code=1011, times=0)
    with calling(fault, restarts=1) as (client, _):
        begin(client)
        client.send("InjectUserMessage", content="hello")
        client.wait_for("Error")
        assert client.received.of("Error")[0]["code"] == "UPSTREAM_CLOSED"
        client.wait_until("close", lambda: client.close_code is not None)
        assert client.close_code == 1011


def test_deepgram_s_sdk_for_node_calls_a_function_over_a_restart(npm):
    look = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
    agent = {**AGENT, "think": {**AGENT["think"], "functions": [look]}}
    fault = Fault(point=FaultPoint.FUNCTION_OUTPUT, action=FaultAction.CLOSE, code=1011, first_connections=1)
    config = SimulatorConfig(pace=0, required_key=KEY, faults=(fault,))
    with (
        DeepgramSimulator(config) as upstream,
        serving(deepgram_api_key=KEY, deepgram_agent_url=upstream.url) as address,
        deepgram_javascript.node(npm) as runtime,
        runtime.connected(f"{address}/deepgram") as client,
    ):
        client.send("Settings", audio=AUDIO, agent=agent)
        client.wait_for("AgentAudioDone")
        client.send("InjectUserMessage", content="Please look")
        for _ in range(2):
            (function,) = client.wait_for("FunctionCallRequest").of("FunctionCallRequest")[-1]["functions"]
            client.send("FunctionCallResponse", id=function["id"], name="look", content="seen")
        assert "Here is what I found: seen" in client.wait_for("AgentAudioDone").text("assistant")
        assert client.received.text("user") == "Please look"
        assert client.received.of("Error") == []


def test_a_call_that_has_reached_its_length_ends_with_a_warning_an_error_and_a_close():
    with calling(limits={"max_call_s": 2}) as (client, _):
        begin(client)
        client.wait_until("close", lambda: client.close_code is not None)
        assert [it["code"] for it in client.received.of("Warning")] == ["MAX_CALL_LENGTH"]
        assert [it["code"] for it in client.received.of("Error")] == ["MAX_CALL_LENGTH"]
        assert client.close_code == 1000


def test_the_short_path_is_served_too():
    with (
        DeepgramSimulator(SimulatorConfig(required_key=KEY)) as upstream,
        serving(deepgram_api_key=KEY, deepgram_agent_url=upstream.url) as address,
        connect(f"ws://{address}/deepgram") as client,
    ):
        assert "Welcome" in client.recv(5)


def test_deepgram_s_sdk_lists_the_models_of_the_router():
    nowhere = "ws://nowhere.invalid/v1/realtime"
    with serving(upstream=nowhere, model="gpt-realtime-2.1", models=["gpt-realtime-mini"]) as address:
        for base in (address, f"{address}/deepgram"):
            assert deepgram_python.think_models(base) == ["gpt-realtime-2.1", "gpt-realtime-mini"]


def test_without_a_key_there_is_no_such_route():
    nowhere = "ws://nowhere.invalid/v1/realtime"
    with serving(upstream=nowhere) as address, pytest.raises(HTTPError, match="404"):
        urlopen(f"http://{address}/deepgram", timeout=5)
