"""The real simulator over real sockets."""

import socket
import threading
import time
from contextlib import ExitStack
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from router.simulator import Call, Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def simulator():
    with Simulator(SimulatorConfig(pace=0)) as simulator:
        yield simulator


def simulated(**config):
    return Simulator(SimulatorConfig(pace=0, **config))


def fault(point, action="close", **fields):
    return Fault(point=FaultPoint(point), action=FaultAction(action), **fields)


def closed_with(client):
    """Receive to the end; its close code and reason."""
    with pytest.raises(ConnectionClosed) as caught:
        client.until("nothing")
    return (caught.value.rcvd.code, caught.value.rcvd.reason) if caught.value.rcvd else None


def test_a_whole_conversation(simulator, dial):
    with dial(simulator, Authorization="Bearer key") as client:
        client.until("session.created")
        client.send("session.update", session={"type": "realtime", "tools": [WEATHER]})
        client.until("session.updated")
        client.ask("What is the weather in Oslo?")
        call = client.until("response.function_call_arguments.done")
        client.until("response.done")
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": "Snow."}
        client.send("conversation.item.create", item=item)
        client.send("response.create")
        assert "Snow." in client.until("response.output_audio_transcript.done")["transcript"]
        client.until("response.done")

    (record,) = simulator.wait_for(lambda records: [each for each in records if each.closed])
    assert record.types() == [
        "session.update",
        "conversation.item.create",
        "response.create",
        "conversation.item.create",
        "response.create",
    ]
    assert record.headers["authorization"] == "Bearer key"
    assert record.query == {"model": "gpt-realtime"}
    assert record.closed.code == 1000
    assert record.sent["response.done"] == 2


def test_audio_is_counted_and_not_kept(simulator, dial):
    with dial(simulator) as client:
        client.until("session.created")
        for _ in range(3):
            client.send("input_audio_buffer.append", audio="AAAA" * 160)
        client.send("input_audio_buffer.clear")
        client.until("input_audio_buffer.cleared")

    (record,) = simulator.connections
    assert record.events == [
        {"type": "input_audio_buffer.append", "count": 3, "audio_bytes": 1440},
        {"type": "input_audio_buffer.clear"},
    ]
    assert record.audio_bytes == 1440


def test_recording_is_bounded_and_can_be_off(dial):
    with simulated(record_events=2, record_connections=1) as simulator:
        for _ in range(2):
            with dial(simulator) as client:
                for _ in range(3):
                    client.send("input_audio_buffer.clear")
                client.until("session.created")
                for _ in range(3):
                    client.until("input_audio_buffer.cleared")
        (record,) = simulator.connections
        assert (record.number, len(record.events), record.dropped_events) == (2, 2, 1)

    with simulated(record_events=0) as simulator, dial(simulator) as client:
        client.send("input_audio_buffer.clear")
        client.until("input_audio_buffer.cleared")
        assert simulator.connections[0].events == []


def test_waiting_has_a_limit(simulator):
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        simulator.wait_for(lambda records: records, timeout_s=0.05)


def test_many_sessions_share_one_thread(simulator, dial):
    with ExitStack() as stack:
        clients = [stack.enter_context(dial(simulator)) for _ in range(40)]
        for client in clients:
            client.ask("Hello", output_modalities=["text"])
        for client in clients:
            client.until("response.done")
        assert simulator.session_count == 40
        assert [thread.name for thread in threading.enumerate()].count("simulator") == 1
    simulator.wait_for(lambda records: all(record.closed for record in records))


# Admission.


@pytest.mark.parametrize(
    ("query", "headers", "close"),
    [
        ("", {}, (4000, "invalid_request_error.missing_model")),
        ("?model=gpt-4o", {}, (4000, "invalid_request_error.invalid_model")),
        ("?model=parrot-1", {}, (4004, "invalid_request_error.model_not_found")),
        (
            "?model=gpt-realtime",
            {"OpenAI_Beta": "realtime=v1"},
            (4000, "invalid_request_error.beta_api_shape_disabled"),
        ),
        ("?model=gpt-realtime", {"Authorization": "Bearer invalid-1"}, (3000, "invalid_request_error.invalid_api_key")),
        ("?model=gpt-realtime", {"Authorization": "Bearer noquota"}, (1013, "insufficient_quota.insufficient_quota")),
    ],
)
def test_the_service_refuses_after_the_handshake(simulator, dial, query, headers, close):
    with dial(simulator, query, **headers) as client:
        error = client.until("error")["error"]
        assert closed_with(client) == close

    assert close[1].endswith(error["code"])
    assert [event["type"] for event in client.seen] == ["error"]


def test_a_required_key_is_required_and_never_told(dial):
    with simulated(required_key="s3cret") as simulator:
        with dial(simulator, Authorization="Bearer wr0ng") as client:
            assert client.until("error")["error"]["code"] == "invalid_api_key"
            assert closed_with(client)[0] == 3000
        assert "s3cret" not in str(client.seen)
        assert "wr0ng" not in str(client.seen)
        with dial(simulator, Authorization="Bearer s3cret") as client:
            client.until("session.created")


def test_a_browser_s_subprotocols_carry_the_key():
    with simulated(required_key="s3cret") as simulator:
        offered = ["realtime", "openai-insecure-api-key.s3cret"]
        with connect(f"{simulator.url}?model=gpt-realtime", subprotocols=offered) as browser:
            assert browser.subprotocol == "realtime"
            assert "session.created" in browser.recv(timeout=5)


def test_plain_http_is_answered(simulator):
    base = simulator.url.replace("ws:", "http:")
    with urlopen(base.removesuffix("/v1/realtime") + "/", timeout=5) as response:  # noqa: S310
        assert b"simulator" in response.read()
    for path, status in (("", 426), ("/nowhere", 404)):
        with pytest.raises(HTTPError) as caught:
            urlopen(base + path, timeout=5)  # noqa: S310
        assert caught.value.code == status
        caught.value.close()


# Faults that need a socket.


def test_a_close_reaches_the_client_with_code_and_reason(simulator, dial):
    simulator.add_fault(fault("mid_audio", code=1011, reason="internal error"))
    with dial(simulator) as client:
        client.ask("Hello there")
        assert closed_with(client) == (1011, "internal error")
    assert client.seen[-1]["type"] == "response.output_audio.delta"


def test_a_restart_can_succeed(simulator, dial):
    simulator.add_fault(fault("connect", times=0, first_connections=1))
    with dial(simulator) as client:
        assert closed_with(client) == (1000, "")
    with dial(simulator) as client:
        client.until("session.created")


def test_a_reset_is_a_real_one(simulator):
    simulator.add_fault(fault("session_created", "reset"))
    host, port = simulator.url.removeprefix("ws://").removesuffix("/v1/realtime").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(
            b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: raw.recv(65536), b""))


def test_a_hung_connection_is_silent_and_open(simulator, dial):
    simulator.add_fault(fault("response_create", "hang"))
    with dial(simulator) as client:
        client.until("session.created")
        client.send("response.create")
        pong = client.socket.ping()
        with pytest.raises(TimeoutError):
            client.socket.recv(timeout=0.2)
        assert not pong.is_set()
        assert simulator.session_count == 1
        simulator.close()


def test_a_malformed_frame_arrives(simulator, dial):
    simulator.add_fault(fault("session_created", "malformed", text="{oops"))
    with dial(simulator) as client:
        client.until("session.created")
        assert client.socket.recv(timeout=5) == "{oops"


def test_a_delay_holds_back_all_that_follows(simulator, dial):
    simulator.add_fault(fault("session_update", "delay", delay_s=0.2))
    with dial(simulator) as client:
        client.until("session.created")
        started_s = time.monotonic()
        client.send("session.update", session={"type": "realtime"})
        client.send("input_audio_buffer.clear")
        client.until("session.updated")
        assert time.monotonic() - started_s >= 0.19
        client.until("input_audio_buffer.cleared")


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_handshake_is_refused_with_a_status(simulator, dial, status):
    simulator.add_fault(fault("handshake", "refuse", status=status))
    with pytest.raises(InvalidStatus) as caught, dial(simulator):
        pass
    with dial(simulator) as client:
        client.until("session.created")

    assert caught.value.response.status_code == status
    assert simulator.connections[0].refused_status == status


def test_a_handshake_is_reset_or_never_answered(simulator):
    simulator.add_fault(fault("handshake", "reset"))
    simulator.add_fault(fault("handshake", "hang"))
    url = f"{simulator.url}?model=gpt-realtime"

    with pytest.raises((ConnectionResetError, InvalidMessage)):
        connect(url, open_timeout=5)
    with pytest.raises(TimeoutError):
        connect(url, open_timeout=0.2)


def test_a_control_message_holds_for_other_connections(simulator, dial):
    with dial(simulator) as control:
        control.send("simulator.fault", fault={"point": "connect", "action": "close", "code": 1012})
        control.send("simulator.script", answers=["Scripted."])
        control.send("input_audio_buffer.clear")
        control.until("input_audio_buffer.cleared")
        with dial(simulator) as client:
            assert closed_with(client) == (1012, "")
        with dial(simulator) as client:
            client.ask("Anything", output_modalities=["text"])
            assert client.until("response.output_text.done")["text"] == "Scripted."


def test_scripts_and_faults_from_the_test_itself(simulator, dial):
    simulator.add_fault(fault("response_create", "swallow", times=0))
    simulator.clear_faults()
    simulator.script(answers=[[Call("f", "{}"), "And so on."]])
    with dial(simulator) as client:
        client.ask("x", output_modalities=["text"])
        output = client.until("response.done")["response"]["output"]

    assert [item["type"] for item in output] == ["function_call", "message"]


# The end.


def test_sessions_expire(dial):
    with simulated(session_seconds=0.1) as simulator, dial(simulator) as client:
        assert client.until("error")["error"]["code"] == "session_expired"
        assert closed_with(client) == (1001, "Your session hit the maximum duration of 60 minutes.")


def test_closing_ends_every_session_and_thread(dial):
    simulator = simulated().start()
    with dial(simulator) as client:
        client.until("session.created")
        simulator.close()
        assert closed_with(client) == (1001, "the simulator stops")
    simulator.close()

    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("simulator")]
    with pytest.raises(RuntimeError, match="does not run"):
        simulator.url  # noqa: B018


def test_closing_does_not_wait_for_a_request_that_never_comes(simulator):
    host, port = simulator.url.removeprefix("ws://").removesuffix("/v1/realtime").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as silent:
        with urlopen(f"http://{host}:{port}/", timeout=5) as response:
            response.read()  # now the other one is accepted, too
        started_s = time.monotonic()
        simulator.close()
        assert time.monotonic() - started_s < 2
        assert silent.recv(1) == b""


def test_a_peer_that_does_not_read_costs_only_itself(dial):
    with simulated() as simulator:
        simulator.script(answers=["a long story " * 20_000])
        with dial(simulator) as slow, dial(simulator) as quick:
            slow.ask("Tell me")
            slow.until("response.created")
            quick.ask("Hello", output_modalities=["text"])
            quick.until("response.done")
            assert simulator.session_count == 2


def test_an_address_in_use_is_told(simulator):
    port = int(simulator.url.removesuffix("/v1/realtime").rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        Simulator(SimulatorConfig(port=port)).start()


@pytest.mark.parametrize(
    ("name", "value"), [("pace", -1), ("port", 70_000), ("chunk_ms", 0), ("key_refusals", {"x": "nonsense"})]
)
def test_a_bad_configuration_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        SimulatorConfig(**{name: value})
