"""OpenAI's own SDKs hold their conversations with the real command, and an upstream that is lost in the middle.

Nothing is changed in any SDK but the address. Each client is a process, and so is the router.
"""

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from tests.support.clients import openai_clients
from tests.support.machine.realtime_wire import RealtimeClient
from tests.support.machine.simulation import SILENCE, TONE
from tests.support.processes import children
from tests.support.processes.further import further

KEY = "sk-of-the-operator-0123456789"
SPEECH = TONE * 8 + SILENCE * 12
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather",
    "parameters": {"type": "object", "properties": {}},
}


@pytest.fixture(scope="module")
def simulator():
    with Simulator(SimulatorConfig(pace=20.0, required_key=KEY)) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def nothing_is_left(simulator):
    yield
    simulator.wait_for(lambda _: simulator.session_count == 0)


@contextmanager
def running(simulator, *flags):
    environment = {"OPENAI_API_KEY": KEY}
    with children.router("--upstream", simulator.url, "--log-level", "warning", *flags, env=environment) as router:
        yield router.address


@pytest.fixture(scope="module")
def router(simulator):
    with running(simulator) as address:
        yield address


@pytest.fixture(scope="module")
def npm():
    """Return the folder where the npm package openai is installed."""
    folder = Path(os.environ.get("SWITCHBOARD_CLIENTS", ""), "openai")
    if not (folder / "node_modules" / "openai").exists() or shutil.which("node") is None:
        pytest.skip("SWITCHBOARD_CLIENTS names no folder with the npm package openai (.ci/run makes one)")
    return folder


@contextmanager
def python(_request, way):
    def connected(address):
        return openai_clients.connected(openai_clients.python(way, address))

    yield connected


@contextmanager
def node(request):
    """The SDK for Node connects with TLS alone: nginx stands in front, as in production."""
    folder, simulator = request.getfixturevalue("npm"), request.getfixturevalue("simulator")
    files = request.getfixturevalue("tmp_path_factory").mktemp("tls")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(files / "ca.pem")
    certificate.private_key_pem.write_to_path(files / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(files / "cert.pem", append=True)
    flags = ("--tls-cert", str(files / "cert.pem"), "--tls-key", str(files / "key.pem"))
    with running(simulator, *flags) as address:

        def connected(_address):
            environment = {"NODE_EXTRA_CA_CERTS": str(files / "ca.pem")}
            return openai_clients.connected(openai_clients.node(folder, address), environment)

        yield connected


WAYS = {"python": partial(python, way="sync"), "python async": partial(python, way="async"), "node": node}
OTHERS = ("python async", "node")


@pytest.fixture(scope="module", params=["python", *map(further, OTHERS)])
def place(request):
    """Return the function that connects one of the SDKs to an address."""
    with WAYS[request.param](request) as place:
        yield place


@pytest.fixture
def client(place, router, simulator):
    simulator.clear_faults()
    with place(router) as client:
        client.wait_for("session.created")
        yield client
        client.close()
        assert not client.problems
        assert not client.wire.errors
    simulator.clear_faults()


def lose(simulator, point, **fields):
    simulator.add_fault(Fault(point=point, action=FaultAction.CLOSE, code=1011, **fields))


def test_a_text_is_answered_and_the_client_s_key_stays_with_the_client(client, simulator):
    client.configure(output_modalities=["text"])
    client.say("My name is Ada.")
    client.wait_for_answers(1)
    assert "Ada" in client.wire.text
    record = simulator.connections[-1]
    assert record.headers["authorization"] == f"Bearer {KEY}"
    assert "sk-of-the-client" not in str(record.headers)


def test_an_answer_that_is_cut_is_continued(client, simulator):
    client.configure(output_modalities=["text"])
    lose(simulator, FaultPoint.MID_TEXT, skip=4)
    client.say("My name is Ada and I like tea.")
    client.wait_for_answers(1)
    assert list(client.wire.responses.values()) == ["incomplete", "completed"]
    assert client.wire.text == 'You said: "My name is Ada and I like tea." I will remember that.'


def test_speech_is_answered_although_the_upstream_is_lost_in_the_middle_of_it(client, simulator):
    client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
    lose(simulator, FaultPoint.SPEECH_STARTED)
    client.speak(SPEECH)
    client.wait_for_answers(1)
    assert len(client.wire.of("input_audio_buffer.speech_started")) == 1
    assert client.wire.of("response.output_audio.delta")
    client.wait_for("conversation.item.input_audio_transcription.completed")


def test_a_function_is_called_once_although_its_upstream_is_lost(client, simulator):
    client.configure(output_modalities=["text"], tools=[WEATHER])
    lose(simulator, FaultPoint.FUNCTION_CALL)
    client.say("What is the weather?")
    call = client.wait_for("response.function_call_arguments.done")
    client.wait_for_answers(1)
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "It is sunny in Paris."}
    client.send("conversation.item.create", item=output)
    client.send("response.create")
    client.wait_for_answers(2)
    assert "sunny" in client.wire.text
    assert len(client.wire.calls) == 1


def test_an_interrupted_answer_is_truncated_although_its_upstream_is_gone(client, simulator):
    client.configure()
    client.say("Remember every word of this. " + "It was a long way to the station, and it rained. " * 8)
    client.wait_for("response.output_audio.delta", 3)
    client.speak(SPEECH)
    client.wait_for("input_audio_buffer.speech_started")
    item_id = client.wire.of("response.output_audio.delta")[0]["item_id"]
    lose(simulator, FaultPoint.BETWEEN_TURNS)
    client.wait_for_answers(1)
    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=200)
    assert client.wait_for("conversation.item.truncated")["item_id"] == item_id
    client.send("conversation.item.retrieve", item_id=item_id)
    assert client.wait_for("conversation.item.retrieved")["item"]["id"] == item_id
    assert "cancelled" in client.wire.responses.values()


# The Agents SDKs.


def agents_in_python(_request):
    python = Path(os.environ.get("SWITCHBOARD_CLIENTS", ""), "agents", "bin", "python")
    if not python.exists():
        pytest.skip("SWITCHBOARD_CLIENTS names no folder with openai-agents (.ci/run makes one)")
    return [str(python), str(openai_clients.HERE / "openai_agents.py")]


def agents_in_javascript(request):
    return ["node", str(openai_clients.JAVASCRIPT / "openai_agents.mjs"), str(request.getfixturevalue("npm"))]


@pytest.mark.parametrize("agents", [agents_in_python, further(agents_in_javascript)])
@pytest.mark.parametrize(
    "point",
    [FaultPoint.MID_AUDIO, further(None), further(FaultPoint.FUNCTION_CALL), further(FaultPoint.RESPONSE_CREATED)],
)
def test_an_agents_sdk_talks_on_over_a_lost_upstream(agents, point, router, simulator, request):
    """It drops an event whose fields are not OpenAI's, and asks for nothing more while a response is open."""
    argv = [*agents(request), router, "My name is Ada.", "What is the weather?"]
    if point is not None:
        lose(simulator, point)
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=90)
    simulator.clear_faults()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["type"] for event in events]
    assert not {"error", "failed"} & set(kinds), done.stderr
    assert kinds.count("called") == 1
    wire = RealtimeClient()
    for event in events:
        if "event_id" in event:
            wire.receive(event)
    assert "sunny" in wire.text
    history = events[-1]["items"]
    assert [item["role"] for item in history if item["type"] == "message"].count("user") == 2, history


# A bare WebSocket.


def test_only_realtime_is_selected_of_the_subprotocols(router):
    offered = ["openai-insecure-api-key.sk-x", "realtime", "openai-agents-sdk.0.20.0"]
    with connect(f"ws://{router}/v1/realtime?model=gpt-realtime", subprotocols=offered) as connection:
        assert connection.subprotocol == "realtime"
        assert json.loads(connection.recv(10))["type"] == "session.created"
    with connect(f"ws://{router}/v1/realtime", subprotocols=["token", "bearer"]) as connection:
        assert connection.subprotocol is None


def test_a_client_secret_opens_a_session_from_a_page(simulator):
    token = "abcdefghijklmnopqrstuvwxyz012345"  # noqa: S105 - of this test
    environment = {"OPENAI_API_KEY": KEY, "ROUTER_TOKENS": f"ada={token}"}
    with children.router("--upstream", simulator.url, "--auth", "token", env=environment) as running:
        url = f"http://{running.address}/v1/realtime/client_secrets"
        with urlopen(Request(url, b"{}", {"Authorization": f"Bearer {token}"})) as response:
            secret = json.load(response)["value"]
        assert secret.startswith("ek_")
        offered = ["realtime", f"openai-insecure-api-key.{secret}"]
        with connect(f"ws://{running.address}/v1/realtime", subprotocols=offered) as connection:
            assert connection.subprotocol == "realtime"
            assert json.loads(connection.recv(10))["type"] == "session.created"


def test_malformed_json_is_answered_and_the_socket_stays(router):
    with connect(f"ws://{router}/v1/realtime") as connection:
        assert json.loads(connection.recv(10))["type"] == "session.created"
        connection.send("{")
        assert json.loads(connection.recv(10))["error"]["type"] == "invalid_request_error"
        connection.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
        assert json.loads(connection.recv(10))["type"] == "session.updated"


def test_a_router_whose_upstream_refuses_it_says_so_and_closes():
    refusing = Simulator(SimulatorConfig(required_key="sk-another"))
    with refusing, running(refusing) as address, connect(f"ws://{address}/v1/realtime") as connection:
        assert json.loads(connection.recv(10))["error"]["code"] == "invalid_api_key"
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(10)
        assert closed.value.rcvd.code == 1000
