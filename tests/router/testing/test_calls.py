"""Calls over memory, as an embedding application's tests place them."""

import socket

import pytest

from actors import lifecycle, messages
from router import Principal, Router
from router.testing import CallHarness, HandshakeRefused


@pytest.fixture(autouse=True)
def no_port(monkeypatch):
    """Whoever listens, or connects, fails."""

    def refuse(*_args):
        raise AssertionError("a test over memory used the network")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_a_call_with_the_simulator_needs_no_port(switchboard, simulator):
    call = switchboard.call(simulator=simulator)
    call.client.start()
    call.client.say("hello there")
    assert call.client.wait_for("ConversationText")["role"] == "user"
    assert "hello there" in call.client.wait_for("ConversationText")["content"]
    call.client.wait_for("AgentAudioDone")
    assert any(isinstance(frame, bytes) for frame in call.client.received)
    assert simulator.connections[0].types()[0] == "session.update"


def test_a_call_with_a_script_says_what_the_test_says(switchboard):
    call = switchboard.call()
    call.client.settle()
    upstream = call.upstream()
    assert upstream.say_hello()["session"]["instructions"] == "Be brief."
    call.client.wait_for("SettingsApplied")
    call.client.say("hello")
    assert upstream.take_item()["content"][0]["text"] == "hello"
    upstream.answer("Hello yourself.")
    assert call.client.wait_for("ConversationText")["content"] == "hello"
    assert call.client.wait_for("ConversationText")["content"] == "Hello yourself."
    assert call.targets[0].url.startswith("ws://nowhere.invalid/")


def test_actors_are_told_and_asked(switchboard, probe):
    call = switchboard.call()
    call.upstream()
    call.translator.tell(lifecycle.AttachClient(probe.ref))
    call.translator.tell(messages.ClientTextReceived('{"type":"Nonsense"}'))
    assert '"Error"' in probe.wait_for(messages.SendToClient).frame
    assert call.translator.ask(lifecycle.Describe(), timeout=5)["lifecycle"] == "awaiting Settings"
    assert set(call.actors) == {"client", "translator", "upstream 1"}


def test_a_lost_upstream_is_followed_by_the_next(switchboard):
    call = switchboard.call()
    call.client.settle()
    first = call.upstream()
    first.say_hello()
    call.client.wait_for("SettingsApplied")
    first.close(1011)
    assert call.client.wait_for("Warning")["code"] == "UPSTREAM_RESTARTED"
    call.upstream().say_hello()
    assert len(call.targets) == 2


def test_the_application_s_own_router_brings_its_functions_and_hooks(simulator):
    router = Router(upstream="ws://nowhere.invalid", authenticate=lambda request: _known(request.credential))
    router.tool("add", {"type": "object"}, lambda arguments, _call: sum(arguments.values()))
    with CallHarness(router) as board:
        with pytest.raises(HandshakeRefused) as refused:
            board.call(headers={"Authorization": "Token nobody"})
        assert refused.value.status == 401
        call = board.call(simulator=simulator, headers={"Authorization": "Token ada"})
        call.client.start()
        (update,) = simulator.connections[0].of_type("session.update")
        assert [tool["name"] for tool in update["session"]["tools"]] == ["add"]
    router.close()


def _known(credential):
    return Principal(credential) if credential == "ada" else None


def test_what_does_not_come_fails_a_test_with_what_came_instead(switchboard, probe):
    call = switchboard.call()
    call.client.wait_for("Welcome")
    call.client.close()
    with pytest.raises(AssertionError, match="closed with 1000"):
        call.client.wait_for("SettingsApplied")
    probe.ref.tell(messages.ClientOpened())
    with pytest.raises(AssertionError, match=r"no Drain within 0\.01 s; told were \[ClientOpened"):
        probe.wait_for(lifecycle.Drain, timeout_s=0.01)


def test_the_actors_of_a_call_that_is_over_are_gone_and_it_says_so(switchboard):
    call = switchboard.call()
    switchboard.router.close(drain_s=0)
    with pytest.raises(AssertionError, match="the session has ended"):
        call.translator.tell(lifecycle.Describe())


def test_a_switchboard_leaves_nothing_behind(simulator):
    with CallHarness() as board:
        calls = [board.call(simulator=simulator) for _ in range(5)]
        for call in calls:
            call.client.start()
        actors = [ref for call in calls for ref in call.actors.values()]
        assert len(actors) == 15
    assert not any(ref.is_alive() for ref in actors)


def test_a_client_that_comes_as_the_router_closes_is_told_so(switchboard):
    switchboard.router.start()
    switchboard.router._runtime.supervisor.stop()
    client = switchboard.call().client
    client.wait_for("Welcome")
    assert client.wait_for_close().code == 1001
    assert switchboard.router.session_count == 0


def test_a_call_that_a_stop_finds_still_there_is_hung_up_with_a_last_word(switchboard, caplog):
    client = switchboard.call().client
    client.wait_for("Welcome")
    switchboard.router._runtime.stop()
    assert client.wait_for("Error")["code"] == "INTERNAL_SERVER_ERROR"
    client.wait_for_close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
