"""The simulator over real sockets."""

import socket
import threading
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from router.simulator import Call, Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig

pytestmark = pytest.mark.slow

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def simulated(**config):
    return Simulator(SimulatorConfig(pace=0, **config))


def fault(point, action="close", **fields):
    return Fault(point=FaultPoint(point), action=FaultAction(action), **fields)


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


# Faults that need a socket.


def test_a_close_reaches_the_client_with_code_and_reason(simulator, dial):
    simulator.add_fault(fault("mid_audio", code=1011, reason="internal error"))
    with dial(simulator) as client:
        client.ask("Hello there")
        assert client.closed_with() == (1011, "internal error")
    assert client.seen[-1]["type"] == "response.output_audio.delta"


def test_a_restart_can_succeed(simulator, dial):
    simulator.add_fault(fault("connect", times=0, first_connections=1))
    with dial(simulator) as client:
        assert client.closed_with() == (1000, "")
    with dial(simulator) as client:
        client.until("session.created")


def test_a_reset_resets_the_tcp_connection(simulator):
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
            assert client.closed_with() == (1012, "")
        with dial(simulator) as client:
            client.ask("Anything", output_modalities=["text"])
            assert client.until("response.output_text.done")["text"] == "Scripted."


def test_faults_and_scripts_can_be_set_by_methods(simulator, dial):
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
        assert client.closed_with() == (1001, "Your session hit the maximum duration of 60 minutes.")


def test_closing_ends_every_session_and_thread(dial):
    simulator = simulated().start()
    with dial(simulator) as client:
        client.until("session.created")
        simulator.close()
        assert client.closed_with() == (1001, "the simulator stops")
    simulator.close()

    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("simulator")]
    with pytest.raises(RuntimeError, match="does not run"):
        simulator.url  # noqa: B018


def test_a_peer_that_does_not_read_stops_no_other_session(dial):
    with simulated() as simulator:
        simulator.script(answers=["a long story " * 20_000])
        with dial(simulator) as slow, dial(simulator) as quick:
            slow.ask("Tell me")
            slow.until("response.created")
            quick.ask("Hello", output_modalities=["text"])
            quick.until("response.done")
            assert simulator.session_count == 2


def test_an_address_in_use_is_an_error(simulator):
    port = int(simulator.url.removesuffix("/v1/realtime").rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        Simulator(SimulatorConfig(port=port)).start()
