"""The trio and its supervisor: real actors over connections in memory."""

import threading

import pykka
import pytest

from actors import lifecycle, messages
from actors.client import ClientActor
from actors.connections.base import ConnectionClosed, ConnectionLimits
from actors.connections.memory import memory_pair
from actors.connections.upstream import DialError, DialFailure, DialTarget
from actors.connector import Connector
from actors.pool import Pool
from actors.restart import Decision, Loss, LossKind
from actors.spec import SessionSpec
from actors.supervisor import Supervisor, as_ref
from actors.translator import TranslatorActor
from actors.upstream import UpstreamActor
from actors.work import Pools

WAIT_S = 5.0
CRASH_FRAME = '{"type":"Error","code":"INTERNAL_SERVER_ERROR"}'


class ScriptedMachine:
    """A machine that relays, and does what the client's text says. It records its inputs."""

    def __init__(self):
        self.inputs = []
        self.generation = 0
        self.ended = threading.Event()

    def handle(self, message, _now_s):
        self.inputs.append(message)
        match message:
            case messages.ClientOpened():
                return [messages.SendToClient("welcome")]
            case messages.ClientTextReceived("open"):
                return self.open()
            case messages.ClientTextReceived("open another and have done with this"):
                return [messages.CloseUpstream(self.generation), *self.open()]
            case messages.ClientTextReceived("abandon"):
                return [messages.AbandonUpstream(self.generation, Loss(kind=LossKind.SILENT, cause="silence"))]
            case messages.ClientTextReceived("completed"):
                return [messages.ResetRestartBudget(), messages.SendToClient("refilled")]
            case messages.ClientTextReceived("crash"):
                raise ValueError("a bug in the translator")
            case messages.ClientTextReceived("end"):
                return [messages.SendToClient("bye"), messages.EndSession(1000, "done")]
            case messages.ClientTextReceived("wait"):
                return [messages.StartTimer("t", 0.01)]
            case messages.ClientTextReceived("wait not"):
                return [messages.StartTimer("t", 0.01), messages.CancelTimer("t"), messages.SendToClient("not")]
            case messages.ClientTextReceived(text):
                return [messages.SendToUpstream(text, self.generation)]
            case messages.ClientBinaryReceived(data):
                return [messages.SendToUpstream(f"{len(data)} bytes", self.generation)]
            case messages.UpstreamOpened():
                return [messages.SendToClient("opened")]
            case messages.UpstreamTextReceived(_, text):
                return [messages.SendToClient(text)]
            case messages.TimerFired(name):
                return [messages.SendToClient(f"fired {name}")]
            case messages.UpstreamLost(generation, loss, verdict):
                told = messages.SendToClient(f"lost {generation} {loss.kind.name} {loss.code} {verdict.decision.name}")
                if verdict.decision is Decision.TEAR_DOWN:
                    return [told, messages.EndSession(1011, "lost")]
                return [told, *self.open(verdict.delay_s)]
            case messages.DrainBegan():
                return [messages.SendToClient("draining"), messages.EndSession(1012, "drain")]
            case messages.ClientClosed() | messages.ClientOverflowed():
                self.ended.set()
                gone = messages.SendToUpstream("the client is gone", self.generation)
                return [gone, messages.EndSession(1000, "")]
        raise AssertionError(message)

    def open(self, delay_s=0.0):
        self.generation += 1
        return [messages.OpenUpstream(self.generation, "somewhere", delay_s)]

    def describe(self):
        return {"inputs": len(self.inputs)}


class House:
    """A supervisor, with sessions over memory connections on both sides."""

    def __init__(self, dispatcher):
        self.dispatcher = dispatcher
        self.connector = Connector(2)
        self.workers = Pool("worker", 1, max_waiting=1)
        pools = Pools(tools=self.workers, setup=self.workers, hooks=self.workers)
        self.supervisor = as_ref(
            Supervisor.start(dispatcher, dispatchers=[dispatcher], connector=self.connector, pools=pools)
        )
        self.upstreams = []
        self.dialled = threading.Semaphore(0)
        self.may_dial = threading.Event()
        self.may_dial.set()
        self.refusals = []
        self.dials = []
        self.target = DialTarget
        self.ids = iter(range(1000))

    def start(self, limits=None, expect="welcome", **spec):
        machine, session_id = ScriptedMachine(), f"s{next(self.ids)}"
        connection, client = memory_pair(limits)
        spec = SessionSpec(
            session_id=session_id,
            machine=machine,
            dial_target=lambda route, position: self.target(url=f"ws://{route}{position}"),
            dialler=self._dial,
            crash_frame=CRASH_FRAME,
            **{"restarts": 0, **spec},
        )
        self.supervisor.tell(lifecycle.StartSession(spec, connection))
        assert expect is None or client.receive() == expect
        return client, machine

    def start_with_upstream(self, **options):
        client, machine = self.start(**options)
        client.send_text("open")
        assert client.receive() == "opened"
        return client, self.upstreams[-1], machine

    def _dial(self, target):
        self.dials.append(target.url)
        self.may_dial.wait(WAIT_S)
        if self.refusals:
            raise self.refusals.pop(0)
        connection, upstream = memory_pair()
        self.upstreams.append(upstream)
        self.dialled.release()
        return connection

    def sessions(self):
        return self.supervisor.ask(lifecycle.ListSessions(), timeout=WAIT_S)

    def drain(self, deadline_s=0.0):
        drained = threading.Event()
        self.supervisor.tell(lifecycle.Drain(drained, deadline_s))
        return drained

    def close(self):
        drained = self.drain()
        assert drained.wait(WAIT_S), self.sessions()
        assert self.sessions() == []
        self.supervisor.stop(timeout=WAIT_S)
        self.connector.close(WAIT_S)
        self.workers.close(WAIT_S)


@pytest.fixture
def house(dispatcher):
    house = House(dispatcher)
    yield house
    house.close()


def only(actor_class):
    (ref,) = pykka.ActorRegistry.get_by_class(actor_class)
    return ref


def closing(client):
    closed = client.receive()
    assert isinstance(closed, ConnectionClosed), closed
    return closed.code, closed.reason


def test_a_session_carries_frames_both_ways(house):
    client, upstream, _ = house.start_with_upstream()
    client.send_text("question")
    assert upstream.receive() == "question"
    upstream.send_text("answer")
    assert client.receive() == "answer"
    (info,) = house.sessions()
    assert (info.state, info.generation) == ("live", 1)


def test_actors_can_be_told_and_asked(house):
    client, upstream, machine = house.start_with_upstream()
    only(ClientActor).tell(messages.SendToClient("hello"))
    assert client.receive() == "hello"
    only(UpstreamActor).tell(messages.SendToUpstream("hello up there", 1))
    assert upstream.receive() == "hello up there"
    assert only(TranslatorActor).ask(lifecycle.Describe(), timeout=WAIT_S)["inputs"] == len(machine.inputs)
    assert only(UpstreamActor).ask(lifecycle.Describe(), timeout=WAIT_S) == {
        "role": "upstream",
        "generation": 1,
        "is_connected": True,
    }
    assert only(ClientActor).ask(lifecycle.Describe(), timeout=WAIT_S)["is_paused"] is False


def test_timers_come_back_unless_they_are_cancelled(house):
    client, _ = house.start()
    client.send_text("wait not")
    assert client.receive() == "not"
    client.send_text("wait")
    assert client.receive() == "fired t"


def test_the_machine_ends_a_session_behind_its_last_word(house):
    client, upstream, _ = house.start_with_upstream()
    client.send_text("end")
    assert client.receive() == "bye"
    assert closing(client) == (1000, "done")
    assert closing(upstream) == (1000, "")


def test_a_session_ends_with_its_client_and_the_upstream_hears_the_machine_s_last_word(house):
    client, upstream, _ = house.start_with_upstream()
    client.close(1000, "Closed by client")
    assert upstream.receive() == "the client is gone"
    assert closing(upstream) == (1000, "")


def test_a_client_that_is_reset_ends_its_session(house):
    client, upstream, machine = house.start_with_upstream()
    client.reset()
    assert machine.ended.wait(WAIT_S)
    assert machine.inputs[-1].closed.code == 1006
    assert upstream.receive() == "the client is gone"


def test_what_the_upstream_said_comes_before_its_end(house):
    client, upstream, _ = house.start_with_upstream()
    for n in range(100):
        upstream.send_text(str(n))
    upstream.close(1000)
    assert [client.receive() for _ in range(101)] == [*map(str, range(100)), "lost 1 CLOSED 1000 TEAR_DOWN"]
    assert closing(client) == (1011, "lost")


def test_an_upstream_that_cannot_be_dialled_is_told_to_the_machine(house):
    house.refusals = [DialError(DialFailure.TCP, None, "refused")]
    client, _ = house.start()
    client.send_text("open")
    assert client.receive() == "lost 1 NOT_DIALLED None TEAR_DOWN"
    assert closing(client) == (1011, "lost")


def test_a_connection_that_comes_after_the_session_s_end_is_closed(house):
    house.may_dial.clear()
    client, _ = house.start()
    client.send_text("open")
    client.send_text("end")
    assert client.receive() == "bye"
    closing(client)
    house.may_dial.set()
    assert house.dialled.acquire(timeout=WAIT_S)
    assert isinstance(house.upstreams[-1].receive(), ConnectionClosed)


def test_what_an_older_generation_says_is_stale(house):
    client, first, _ = house.start_with_upstream()
    client.send_text("open another and have done with this")
    first.send_text("from the grave")
    assert client.receive() == "opened"
    first.send_text("from the grave again")
    house.upstreams[1].send_text("from the living")
    assert client.receive() == "from the living"
    assert isinstance(first.receive(), ConnectionClosed)
    facts = only(TranslatorActor).ask(lifecycle.Describe(), timeout=WAIT_S)
    assert facts["generations"] == [2]
    (info,) = house.sessions()
    assert info.generation == 2


# Restarts.


def test_a_lost_upstream_is_replaced_and_its_translator_told(house):
    client, first, _ = house.start_with_upstream(restarts=3)
    first.close(1000)
    assert client.receive() == "lost 1 CLOSED 1000 RESTART"
    assert client.receive() == "opened"
    client.send_text("question")
    assert house.upstreams[1].receive() == "question"
    (info,) = house.sessions()
    assert (info.generation, info.restarts) == (2, 1)


def test_an_abandoned_upstream_is_closed_and_told_as_lost_once(house):
    client, first, _ = house.start_with_upstream(restarts=3)
    client.send_text("abandon")
    assert client.receive() == "lost 1 SILENT None RESTART"
    assert closing(first) == (1000, "")
    assert client.receive() == "opened"
    client.send_text("wait not")
    assert client.receive() == "not"


def test_an_upstream_that_cannot_be_dialled_is_followed_by_the_next_of_the_list(house):
    house.refusals = [DialError(DialFailure.TCP, None, "refused")]
    client, _ = house.start(restarts=3, upstreams=2)
    client.send_text("open")
    assert client.receive() == "lost 1 NOT_DIALLED None RESTART_ELSEWHERE"
    assert client.receive() == "opened"
    house.upstreams[-1].close(1001)
    assert client.receive() == "lost 2 CLOSED 1001 RESTART"
    assert client.receive() == "opened"
    assert house.dials == ["ws://somewhere0", "ws://somewhere1", "ws://somewhere0"]


def test_a_budget_that_is_spent_ends_the_session_and_a_completed_turn_refills_it(house):
    client, _, _ = house.start_with_upstream(restarts=1)
    for n in (1, 2):
        house.upstreams[-1].close(1000)
        assert client.receive() == f"lost {n} CLOSED 1000 RESTART"
        assert client.receive() == "opened"
        client.send_text("completed")
        assert client.receive() == "refilled"
    house.upstreams[-1].close(1000)
    assert [client.receive(), client.receive()] == ["lost 3 CLOSED 1000 RESTART", "opened"]
    house.upstreams[-1].close(1000)
    assert client.receive() == "lost 4 CLOSED 1000 TEAR_DOWN"
    assert closing(client) == (1011, "lost")


# Failures.


def test_a_bug_in_the_translator_ends_its_session_with_an_error_and_touches_no_other(house, caplog):
    other, other_upstream, _ = house.start_with_upstream()
    client, upstream, _ = house.start_with_upstream()
    client.send_text("crash")
    assert client.receive() == CRASH_FRAME
    assert closing(client) == (1011, "internal error")
    assert closing(upstream) == (1000, "")
    assert "a bug in the translator" in caplog.text
    other.send_text("still here")
    assert other_upstream.receive() == "still here"


@pytest.mark.parametrize("actor_class", [ClientActor, TranslatorActor])
def test_an_actor_that_fails_ends_its_session_with_an_error(house, actor_class):
    client, upstream, _ = house.start_with_upstream()
    only(actor_class).tell(pykka.messages.ProxyCall(attr_path=("no_such_method",), args=(), kwargs={}))
    assert client.receive() == CRASH_FRAME
    assert closing(client) == (1011, "internal error")
    assert closing(upstream) == (1000, "")


def test_an_upstream_actor_that_fails_is_told_to_the_machine(house):
    client, upstream, _ = house.start_with_upstream()
    only(UpstreamActor).tell(pykka.messages.ProxyCall(attr_path=("no_such_method",), args=(), kwargs={}))
    assert client.receive() == "lost 1 FAILED None TEAR_DOWN"
    assert closing(client) == (1011, "lost")
    assert isinstance(upstream.receive(), ConnectionClosed)


@pytest.mark.parametrize("actor_class", [ClientActor, TranslatorActor])
def test_the_trio_dies_together(house, actor_class):
    client, upstream, _ = house.start_with_upstream()
    only(actor_class).stop(timeout=WAIT_S)
    assert isinstance(upstream.receive(), ConnectionClosed)
    assert client.receive() == CRASH_FRAME
    assert isinstance(client.receive(), ConnectionClosed)


def test_a_failure_of_the_supervisor_s_own_is_logged_and_ends_that_session_only(house, caplog):
    other, _ = house.start()
    client, _ = house.start()
    house.target = None  # a target that is none: making it raises on the supervisor's thread
    client.send_text("open")
    assert client.receive() == CRASH_FRAME
    assert closing(client) == (1011, "internal error")
    assert "the supervisor failed at UpstreamRequested" in caplog.text
    other.send_text("wait not")
    assert other.receive() == "not"


@pytest.mark.parametrize("actor_class", [TranslatorActor, ClientActor])
def test_a_session_that_cannot_be_started_is_let_go_and_leaves_nothing(house, actor_class, monkeypatch, caplog):
    def fail(*_args, **_kwargs):
        raise RuntimeError("no")

    ended = threading.Event()
    monkeypatch.setattr(actor_class, "start", fail)
    client, _ = house.start(expect=None, on_end=ended.set)
    assert closing(client)[0] == 1006
    assert ended.wait(WAIT_S)
    assert house.sessions() == []
    assert "the supervisor failed at StartSession" in caplog.text


# A peer that does not read.


def test_a_client_that_does_not_read_costs_only_itself(house):
    limits = ConnectionLimits(write_buffer_bytes=100_000, close_timeout_s=0.2)
    client, upstream, machine = house.start_with_upstream(limits=limits)
    other, other_upstream, _ = house.start_with_upstream()
    client.stop_reading()
    for _ in range(40):
        upstream.send_text("x" * 10_000)
    assert machine.ended.wait(WAIT_S)
    assert isinstance(machine.inputs[-1], messages.ClientOverflowed | messages.ClientClosed)
    other.send_text("still here")
    assert other_upstream.receive() == "still here"


def test_a_client_is_not_read_while_the_upstream_is_behind(house):
    client, upstream, _ = house.start_with_upstream()
    upstream.stop_reading()
    sent = 40
    for n in range(sent):
        client.send_text(str(n) * 20_000)
    assert any(only(ClientActor).ask(lifecycle.Describe(), timeout=WAIT_S)["is_paused"] for _ in range(10_000))
    upstream.read_again()
    assert [upstream.receive() for _ in range(sent)] == [str(n) * 20_000 for n in range(sent)]


def test_a_long_binary_message_arrives_in_pieces_and_in_order(house):
    client, upstream, machine = house.start_with_upstream()
    client.send_binary(bytes(1_000_001))
    client.send_text("after it")
    told = 0
    while (message := upstream.receive()) != "after it":
        told += int(message.split()[0])
    assert told == 1_000_001
    pieces = [m for m in machine.inputs if isinstance(m, messages.ClientBinaryReceived)]
    assert max(len(piece.data) for piece in pieces) == 32 * 1024


# The process ends.


def test_a_drain_ends_every_session_and_those_that_were_accepted_as_it_began(house):
    clients = [house.start()[0] for _ in range(5)]
    drained = house.drain()
    clients.append(house.start(expect=None)[0])
    for client in clients:
        assert client.receive() == "draining"
        assert closing(client) == (1012, "drain")
    assert drained.wait(WAIT_S)
    assert any(house.sessions() == [] for _ in range(10_000))


def test_a_connection_that_is_accepted_as_the_supervisor_stops_is_let_go(dispatcher):
    pool = Pool("worker")
    pools = {"connector": Connector(), "pools": Pools(tools=pool, setup=pool, hooks=pool)}
    supervisor = as_ref(Supervisor.start(dispatcher, dispatchers=[dispatcher], **pools))
    connection, client = memory_pair()
    spec = SessionSpec(session_id="late", machine=ScriptedMachine(), dial_target=str, dialler=str, crash_frame="")
    held = threading.Event()
    dispatcher.call_soon(lambda: held.wait(WAIT_S))
    stop = supervisor.stop(block=False)
    supervisor.tell(lifecycle.StartSession(spec, connection))
    held.set()
    stop.get(timeout=WAIT_S)
    assert isinstance(client.receive(), ConnectionClosed)


def test_a_session_that_is_left_when_the_supervisor_stops_is_cut_off(dispatcher, caplog):
    house, ended = House(dispatcher), threading.Event()
    client, upstream, _ = house.start_with_upstream(on_end=ended.set)
    actors = [only(actor_class) for actor_class in (ClientActor, TranslatorActor, UpstreamActor)]
    house.supervisor.stop(timeout=WAIT_S)
    assert client.receive() == CRASH_FRAME
    assert isinstance(client.receive(), ConnectionClosed)
    assert isinstance(upstream.receive(), ConnectionClosed)
    assert all(ref.actor_stopped.wait(WAIT_S) for ref in actors)
    assert ended.is_set()
    assert "session s0 is cut off" in caplog.text
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    house.connector.close(WAIT_S)
    house.workers.close(WAIT_S)
