"""The adoption of a session that another process carried."""

import orjson
import pytest

from actors import messages
from actors.connections.memory import memory_pair
from router import Request
from router.assembly import dialling
from router.assembly.carried import MAX_ADOPTIONS, CarriedSession, count_adoption
from router.metrics.catalog import RECOVERIES
from router.session.snapshot import SnapshotError
from router.testing import CallHarness, ScriptedClient
from tests.support.machine.beginnings import asked
from tests.support.machine.playbook import Playbook


def parcel_of(book):
    request = Request(path="/v1/agent/converse", profile="converse", query={}, headers={}, credential=None)
    return CarriedSession(book.session, request, "server_vad").snapshot()


def adopting(switchboard, data, **given):
    """Let a router adopt a session. Return its client and its dials."""
    dialled = []

    def dial(_target):
        connection, peer = memory_pair()
        dialled.append(peer)
        return connection

    connection, peer = memory_pair()
    adopted = given.pop("adopted", messages.ClientAdopted())
    switchboard.router.adopt(data, connection, adopted, dialler=dial, **given)
    return ScriptedClient(peer), dialled


def test_a_router_continues_a_session_and_answers_its_question():
    with CallHarness() as switchboard:
        book = asked(profile="converse")
        client, _ = adopting(switchboard, parcel_of(book))
        assert client.receive()["code"] == "SESSION_RECOVERED"
        assert switchboard.router.session_count == 1
        (info,) = switchboard.router.sessions()
        assert info.session_id == book.session.state.session_id
        assert switchboard.router.describe_session(info.session_id)["actors"]["translator"]["owed"]["responses"] == 1
        client.close()


def test_a_planned_move_sends_the_client_nothing():
    with CallHarness() as switchboard:
        data = parcel_of(Playbook("converse").ready())
        client, _ = adopting(switchboard, data, adopted=messages.ClientAdopted(is_planned=True))
        client.send("InjectUserMessage", content="are you there?")
        assert client.receive() == {"type": "ConversationText", "role": "user", "content": "are you there?"}
        client.close()


def test_the_client_s_messages_of_the_journal_come_first():
    with CallHarness() as switchboard:
        data = parcel_of(Playbook("converse").ready())
        journal = ['{"type":"InjectUserMessage","content":"first"}']
        client, _ = adopting(switchboard, data, journal=journal)
        client.send("InjectUserMessage", content="second")
        texts = [client.wait_for("ConversationText")["content"] for _ in range(2)]
        assert texts == ["first", "second"]
        client.close()


def test_a_session_that_is_given_up_is_not_restored():
    with CallHarness() as switchboard:
        data = parcel_of(Playbook("converse"))
        for _ in range(MAX_ADOPTIONS + 1):
            data = count_adoption(data)
        connection, _peer = memory_pair()
        with pytest.raises(SnapshotError, match="has killed 2 processes"):
            switchboard.router.adopt(data, connection, messages.ClientAdopted())
        assert switchboard.router.session_count == 0


@pytest.mark.parametrize("is_damaged", [False, True])
def test_the_client_of_a_lost_session_gets_an_error_with_a_code(is_damaged, monkeypatch):
    counted = []
    with CallHarness() as switchboard:
        monkeypatch.setattr(switchboard.router.metrics, "add", lambda *it: counted.append(it))
        connection, peer = memory_pair()
        switchboard.router.give_up(b"damaged" if is_damaged else parcel_of(Playbook("converse")), connection)
        assert orjson.loads(peer.receive())["code"] == "SESSION_LOST"
        closed = peer.receive()
        assert (closed.code, closed.reason) == (1011, "SESSION_LOST")
        assert counted == [(RECOVERIES, ("lost",))]


def test_a_damaged_snapshot_leaves_no_session_and_no_place(monkeypatch):
    with CallHarness(limits={"max_sessions": 1}) as switchboard:
        data = parcel_of(Playbook("converse").ready())

        def fail(*_arguments):
            raise SnapshotError("the snapshot is damaged")

        with monkeypatch.context() as patched:
            patched.setattr("router.assembly.machines.restored", fail)
            with pytest.raises(SnapshotError):
                adopting(switchboard, data)
        assert switchboard.router.session_count == 0
        client, _ = adopting(switchboard, data)
        assert client.receive()["code"] == "SESSION_RECOVERED"
        client.close()


def test_the_upstream_that_was_dialled_for_an_announced_session_is_used(monkeypatch):
    peers = []

    def dial(_target):
        connection, peer = memory_pair()
        peers.append(peer)
        return connection

    monkeypatch.setattr(dialling, "dial", dial)
    with CallHarness() as switchboard:
        book = Playbook("converse").ready()
        request = Request(path="/v1/agent/converse", profile="converse", query={}, headers={}, credential=None)
        carried = CarriedSession(book.session, request, "server_vad")
        ahead = switchboard.router.dial_ahead(carried.announcement(), book.session.state.model)
        assert len(peers) == 1
        connection, peer = memory_pair()
        switchboard.router.adopt(carried.snapshot(), connection, messages.ClientAdopted(is_planned=True), ahead=ahead)
        peers[0].send_text('{"type":"session.created","event_id":"e1","session":{"type":"realtime"}}')
        assert orjson.loads(peers[0].receive())["type"] == "session.update"
        assert len(peers) == 1
        ScriptedClient(peer).close()
