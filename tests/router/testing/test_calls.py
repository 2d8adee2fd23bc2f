"""Calls in memory, as the tests of an embedding application place them."""

import socket

import pytest

from actors import lifecycle, messages
from router import Principal, Router
from router.testing import CallHarness, HandshakeRefused


@pytest.fixture(autouse=True)
def no_port(monkeypatch):
    """Fail each attempt to listen or to connect."""

    def refuse(*_args):
        raise AssertionError("a test in memory used the network")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_a_call_gets_the_settings_of_its_route():
    listed = [{"path": "/patient", "front": "converse", "defaults": {"vad_silence_ms": 900}}]
    with CallHarness(routes=listed) as harness:
        assert silence_ms(harness.call(path="/patient")) == 900
        assert silence_ms(harness.call()) == 500


def test_a_call_dials_the_upstreams_of_its_route_alone():
    upstreams = [{"url": f"ws://{name}.invalid"} for name in "ab"]
    listed = [{"path": "/second", "front": "converse", "upstreams": [1]}]
    with CallHarness(upstream=None, upstreams=upstreams, routes=listed) as harness:
        calls = [harness.call(path=path) for path in ("/second", "")]
        for call in calls:
            call.client.send_settings()
            call.upstream().open_session()
        assert [call.targets[0].url.split("?")[0] for call in calls] == ["ws://b.invalid", "ws://a.invalid"]


def silence_ms(call):
    call.client.send_settings()
    return call.upstream().open_session()["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"]


def test_a_call_with_the_simulator_needs_no_port(switchboard, simulator):
    call = switchboard.call(simulator=simulator)
    call.client.start()
    call.client.say("hello there")
    assert call.client.wait_for("ConversationText")["role"] == "user"
    assert "hello there" in call.client.wait_for("ConversationText")["content"]
    call.client.wait_for("AgentAudioDone")
    assert any(isinstance(frame, bytes) for frame in call.client.received)
    assert simulator.connections[0].types()[0] == "session.update"


def test_a_scripted_upstream_sends_the_texts_of_the_test(switchboard):
    call = switchboard.call()
    call.client.send_settings()
    upstream = call.upstream()
    assert upstream.open_session()["session"]["instructions"] == "Be brief."
    call.client.wait_for("SettingsApplied")
    call.client.say("hello")
    assert upstream.acknowledge_item()["content"][0]["text"] == "hello"
    upstream.answer("Hello yourself.")
    assert call.client.wait_for("ConversationText")["content"] == "hello"
    assert call.client.wait_for("ConversationText")["content"] == "Hello yourself."
    assert call.targets[0].url.startswith("ws://nowhere.invalid/")


def test_a_test_sends_messages_to_single_actors(switchboard, probe):
    call = switchboard.call()
    call.upstream()
    call.translator.tell(lifecycle.AttachClient(probe.ref))
    call.translator.tell(messages.ClientTextReceived('{"type":"Nonsense"}'))
    assert '"Error"' in probe.wait_for(messages.SendToClient).frame
    assert call.translator.ask(lifecycle.Describe(), timeout=5)["lifecycle"] == "awaiting Settings"
    assert set(call.actors) == {"client", "translator", "upstream 1"}


def test_a_lost_upstream_is_followed_by_the_next(switchboard):
    call = switchboard.call()
    call.client.send_settings()
    first = call.upstream()
    first.open_session()
    call.client.wait_for("SettingsApplied")
    first.close(1011)
    assert call.client.wait_for("Warning")["code"] == "UPSTREAM_RESTARTED"
    call.upstream().open_session()
    assert len(call.targets) == 2


def test_the_application_s_own_router_brings_its_functions_and_hooks(simulator):
    router = Router(upstream="ws://nowhere.invalid", authenticate=lambda request: _known(request.credential))
    router.tool("add", {"type": "object"}, lambda arguments, _call: sum(arguments.values()))
    with CallHarness(router) as harness:
        with pytest.raises(HandshakeRefused) as refused:
            harness.call(headers={"Authorization": "Token nobody"})
        assert refused.value.status == 401
        call = harness.call(simulator=simulator, headers={"Authorization": "Token ada"})
        call.client.start()
        (update,) = simulator.connections[0].of_type("session.update")
        assert [tool["name"] for tool in update["session"]["tools"]] == ["add"]
    router.close()


def _known(credential):
    return Principal(credential) if credential == "ada" else None


def test_a_missing_message_fails_a_test_with_the_received_ones(switchboard, probe):
    call = switchboard.call()
    call.client.wait_for("Welcome")
    call.client.close()
    with pytest.raises(AssertionError, match="closed with 1000"):
        call.client.wait_for("SettingsApplied")
    probe.ref.tell(messages.ClientOpened())
    with pytest.raises(AssertionError, match=r"no Drain within 0\.01 s; received were \[ClientOpened"):
        probe.wait_for(lifecycle.Drain, timeout_s=0.01)


def test_the_actors_of_an_ended_call_are_gone(switchboard):
    call = switchboard.call()
    switchboard.router.close(drain_s=0)
    with pytest.raises(AssertionError, match="the session has ended"):
        call.translator.tell(lifecycle.Describe())


def test_a_harness_leaves_no_actor_behind(simulator):
    with CallHarness() as harness:
        calls = [harness.call(simulator=simulator) for _ in range(5)]
        for call in calls:
            call.client.start()
        actors = [ref for call in calls for ref in call.actors.values()]
        assert len(actors) == 15
    assert not any(ref.is_alive() for ref in actors)


def test_a_client_that_arrives_during_the_close_is_closed_with_1001(switchboard):
    switchboard.router.start()
    switchboard.router._parts.runtime.supervisor.stop()
    client = switchboard.call().client
    client.wait_for("Welcome")
    assert client.wait_for_close().code == 1001
    assert switchboard.router.session_count == 0


def test_a_call_that_is_left_at_the_stop_gets_an_error_and_a_close_frame(switchboard, caplog):
    client = switchboard.call().client
    client.wait_for("Welcome")
    switchboard.router._parts.runtime.stop()
    assert client.wait_for("Error")["code"] == "INTERNAL_SERVER_ERROR"
    client.wait_for_close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    ("former", "now"), [("settle", "send_settings"), ("say_hello", "open_session"), ("take_item", "acknowledge_item")]
)
def test_a_former_method_of_a_script_calls_its_successor_with_a_warning(switchboard, monkeypatch, former, now):
    call = switchboard.call()
    end = call.client if hasattr(call.client, now) else call.upstream()
    calls = []
    monkeypatch.setattr(type(end), now, lambda _self, *given: calls.append(given) or "done")
    with pytest.warns(DeprecationWarning, match=f"{type(end).__name__}.{former} is called {now} now") as caught:
        assert getattr(end, former)(1) == "done"
    assert calls == [(1,)]
    assert caught[0].filename == __file__, "the warning points at the test"
