"""The way of a request to a session."""

import pytest

from actors.connections.handover import HandshakeRefused
from actors.connections.memory import memory_pair
from router import Principal
from router.config.auth import digest
from router.runtime import Runtime
from router.testing import CallHarness

AUTH = {"tokens": {"alice": {"sha256": digest("secret-token")}}}
UPGRADE = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}


def refused(call, *arguments, **more):
    with pytest.raises(HandshakeRefused) as caught:
        call(*arguments, **more)
    return caught.value.status


def test_a_connection_that_does_not_open_leaves_no_session_and_no_place():
    def fail(_first_text):
        raise ConnectionError("gone")

    with CallHarness(limits={"max_sessions": 1}) as switchboard:
        with pytest.raises(ConnectionError):
            switchboard.router.begin(UPGRADE, "converse", fail, dialler=lambda _target: memory_pair()[0])
        assert switchboard.router.session_count == 0
        call = switchboard.call()
        assert refused(switchboard.call) == 429
        assert switchboard.router.session_count == 1
        assert call.client.receive() == {"type": "Welcome", "request_id": call.session_id}


def test_a_client_with_a_wrong_token_takes_no_place():
    with CallHarness(limits={"max_sessions": 1}, auth=AUTH) as switchboard:
        assert refused(switchboard.call, headers={"Authorization": "Token wrong"}) == 401
        switchboard.call(headers={"Authorization": "Token secret-token"})


def test_a_request_that_its_front_has_verified_needs_no_credential():
    with CallHarness(auth=AUTH) as switchboard:
        connection, peer = memory_pair()
        session_id, _ = switchboard.router.begin(
            UPGRADE, "converse", lambda _text: connection, is_verified=True, dialler=lambda _target: memory_pair()[0]
        )
        assert [info.session_id for info in switchboard.router.sessions()] == [session_id]
        peer.close(1000, "")


def test_no_session_begins_while_a_dispatcher_is_dead_or_stalled(monkeypatch):
    with CallHarness() as switchboard:
        monkeypatch.setattr(Runtime, "is_alive", property(lambda _self: False))
        assert refused(switchboard.call) == 503


def test_a_storm_of_calls_is_paced_in_front_of_the_server_s_own_threads_alone(monkeypatch):
    paced = []
    monkeypatch.setattr("router.pacing.CallPacer.wait", lambda _self, dispatchers: paced.append(len(dispatchers)))
    with CallHarness() as switchboard:
        switchboard.call()
        assert paced == []
        switchboard.router._parts.is_standalone = True
        switchboard.call()
        assert paced == [1]


def test_a_session_has_the_principal_of_its_request():
    started = []

    def authenticate(request):
        return Principal("ada") if request.credential == "secret" else None

    with CallHarness(authenticate=authenticate, on_session_start=started.append) as switchboard:
        assert refused(switchboard.call) == 401
        call = switchboard.call(headers={"Authorization": "Token secret"})
        call.client.send_settings()
        call.upstream().open_session()
        call.client.wait_for("SettingsApplied")
    assert [context.request.principal.id for context in started] == ["ada"]
