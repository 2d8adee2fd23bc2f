"""A session on its way to another process, and its adoption by a router."""

import msgspec
import orjson
import pytest

from actors import messages
from actors.connections.memory import memory_pair
from router import Principal, Request, RouterConfig
from router.assembly import carried
from router.assembly.carried import MAX_ADOPTIONS, CarriedSession, count_adoption, open_parcel
from router.assembly.factory import SessionFactory
from router.config.guard import Guard, Rule
from router.hooks import Hooks
from router.metrics.catalog import RECOVERIES
from router.session.snapshot import SnapshotError
from router.testing import SETTINGS, CallHarness, ScriptedClient
from router.tools.registry import FunctionRegistry
from tests.support.machine.beginnings import asked
from tests.support.machine.playbook import Playbook

REQUEST = Request(
    path="/v1/agent/converse",
    profile="converse",
    query={"a": "b"},
    headers={"user-agent": "test"},
    credential="secret",
    principal=Principal("alice", {"plan": "gold"}),
)


def parcel_of(book, request=REQUEST):
    return CarriedSession(book.session, request, "server_vad").snapshot()


def test_a_parcel_holds_the_session_and_its_request():
    book = asked(profile="converse")
    parcel = open_parcel(parcel_of(book))
    assert (parcel.session_id, parcel.request, parcel.turn_detection) == (
        book.session.state.session_id,
        REQUEST,
        "server_vad",
    )
    restored = carried.restored(parcel, book.session.context.options)
    assert restored.describe() == book.session.describe()


def test_a_session_that_killed_two_processes_is_given_up():
    data = parcel_of(Playbook("converse"))
    for _ in range(MAX_ADOPTIONS):
        data = count_adoption(data)
        assert not open_parcel(data).is_given_up
    assert open_parcel(count_adoption(data)).is_given_up


@pytest.mark.parametrize("data", [b"", b"nothing", msgspec.msgpack.encode(["switchboard parcel", {}, None, b""])])
def test_damaged_data_is_no_parcel(data):
    with pytest.raises(SnapshotError, match="damaged"):
        open_parcel(data)


def test_facts_of_an_application_that_are_no_json_keep_the_session_here():
    principal = Principal("alice", {"row": object()})
    with pytest.raises(SnapshotError, match="the request of the session cannot be written"):
        parcel_of(Playbook("converse"), msgspec.structs.replace(REQUEST, principal=principal))


@pytest.mark.parametrize(
    ("profile", "settings", "moves"),
    [
        ("converse", {}, True),
        ("openai", {}, True),
        ("realtime", {}, False),
        ("twilio", {}, False),
        ("deepgram", {}, False),
        ("converse", {"guard": Guard(rules=(Rule(expression="secret"),))}, False),
    ],
    ids=["converse", "openai", "realtime", "twilio", "deepgram", "a guard"],
)
def test_sessions_without_a_memory_around_them_can_move(profile, settings, moves):
    factory = SessionFactory(RouterConfig(**settings), FunctionRegistry(), Hooks())
    request = msgspec.structs.replace(REQUEST, profile=profile)
    spec = factory.of("s", request, None, perform=print, on_end=print)
    assert (spec.carried is not None) is moves
    if moves:
        due = spec.carried.snapshot_due
        list(spec.machine.handle(messages.ClientOpened(), 0.0))
        list(spec.machine.handle(messages.ClientTextReceived(orjson.dumps(SETTINGS).decode()), 0.0))
        assert spec.carried.snapshot_due > due
        assert not spec.carried.can_move
        assert open_parcel(spec.carried.snapshot()).session_id == "s"


def test_the_clock_of_this_machine_has_one_name():
    assert carried.clock() == carried.clock() != ""


# The adoption by a router.


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
