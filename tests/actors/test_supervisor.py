"""The supervisor: sessions begin, are restarted, fail and end as its tables say."""

import queue
import threading

import pykka
import pytest

from actors import leaving, lifecycle, messages
from actors.actor import as_ref
from actors.client import ClientActor
from actors.connections.base import ConnectionClosed, ConnectionLimits
from actors.connections.memory import memory_pair
from actors.connections.upstream import DialError, DialFailure
from actors.connector import Connector
from actors.dispatcher import Dispatcher
from actors.pool import Pool
from actors.spec import SessionSpec
from actors.supervisor import Supervisor
from actors.translator import TranslatorActor
from actors.upstream import UpstreamActor
from actors.work import Pools
from tests.support.engine.sessions import CRASH_FRAME, WAIT_S, EngineHarness, ScriptedMachine, closing, describe, only


def test_a_session_carries_frames_both_ways(engine):
    client, upstream, _ = engine.start_with_upstream()
    client.send_text("question")
    assert upstream.receive() == "question"
    upstream.send_text("answer")
    assert client.receive() == "answer"
    (info,) = engine.sessions()
    assert (info.state, info.generation) == ("live", 1)


def test_actors_answer_tell_and_ask(engine):
    client, upstream, machine = engine.start_with_upstream()
    only(ClientActor).tell(messages.SendToClient("hello"))
    assert client.receive() == "hello"
    only(UpstreamActor).tell(messages.SendToUpstream("hello up there", 1))
    assert upstream.receive() == "hello up there"
    assert describe(TranslatorActor)["inputs"] == len(machine.inputs)
    assert describe(UpstreamActor) == {
        "role": "upstream",
        "generation": 1,
        "position": 0,
        "is_connected": True,
        "held_bytes": 0,
    }
    assert describe(ClientActor)["is_paused"] is False


def test_a_session_that_the_machine_ends_sends_its_last_message_first(engine):
    client, upstream, _ = engine.start_with_upstream()
    client.send_text("end")
    assert client.receive() == "bye"
    assert closing(client) == (1000, "done")
    assert closing(upstream) == (1000, "")


def test_a_session_ends_with_its_client_and_the_upstream_gets_the_machine_s_last_message(engine):
    client, upstream, _ = engine.start_with_upstream()
    client.close(1000, "Closed by client")
    assert upstream.receive() == "the client is gone"
    assert closing(upstream) == (1000, "")


def test_a_client_that_is_reset_ends_its_session(engine):
    client, upstream, machine = engine.start_with_upstream()
    client.reset()
    assert machine.ended.wait(WAIT_S)
    assert machine.inputs[-1].closed.code == 1006
    assert upstream.receive() == "the client is gone"


def read_usage(message):
    """Read a late message, as `SessionSpec.read_late` does."""
    if "usage" not in message.text:
        return None
    return messages.LateReport(f"{message.generation} {message.text}", is_last=message.text == "last usage")


def test_a_message_that_an_upstream_sends_before_its_close_frame_may_be_a_notification(engine):
    delivered = queue.SimpleQueue()
    client, upstream, _ = engine.start_with_upstream(read_late=read_usage, deliver=delivered.put)
    upstream.stop_reading()
    client.send_text("end")
    assert client.receive() == "bye"
    closing(client)
    upstream.send_text("audio")
    upstream.send_text("usage")
    upstream.read_again()
    notifications = [delivered.get(timeout=WAIT_S) for _ in range(3)]
    assert notifications[1] == "1 usage"
    assert isinstance(notifications[2], lifecycle.SessionEnded)


@pytest.mark.parametrize("text", ["last usage", "usage"])
def test_an_upstream_gets_time_to_report_on_cancelled_work(engine, text):
    delivered = queue.SimpleQueue()
    client, upstream, _ = engine.start_with_upstream(read_late=read_usage, deliver=delivered.put)
    client.send_text("end and report")
    assert client.receive() == "bye"
    closing(client)
    upstream.send_text("audio")
    upstream.send_text(text)
    assert [delivered.get(timeout=WAIT_S) for _ in range(2)][1] == f"1 {text}"
    # At once behind the last report, or else when the time is over.
    assert closing(upstream) == (1000, "")


def test_an_operator_ends_a_session(engine):
    client, _, _ = engine.start_with_upstream()
    (info,) = engine.sessions()
    assert engine.supervisor.ask(lifecycle.EndOne(info.session_id), timeout=WAIT_S)
    assert client.receive() == "ended"
    assert closing(client) == (1000, "operator")
    assert not engine.supervisor.ask(lifecycle.EndOne("another"), timeout=WAIT_S)


def test_an_operator_drains_a_session_and_no_other(engine):
    client, _, _ = engine.start_with_upstream()
    (info,) = engine.sessions()
    other, _ = engine.start()
    assert engine.supervisor.ask(lifecycle.DrainOne(info.session_id, 5.0), timeout=WAIT_S)
    assert client.receive() == "draining"
    assert closing(client) == (1012, "drain")
    other.send_text("probe")
    assert other.receive() == "caught up"
    assert not engine.supervisor.ask(lifecycle.DrainOne("another", 5.0), timeout=WAIT_S)


# Upstreams that an operator paused.


def test_a_paused_upstream_is_not_dialled_and_the_next_one_is(engine):
    engine.start_with_upstream(upstreams=2, is_paused=lambda position: position == 0)
    assert engine.dials == ["ws://somewhere1"]


def test_a_session_without_an_upstream_that_may_be_dialled_ends_at_once(engine):
    client, _ = engine.start(restarts=3, upstreams=2, is_paused=lambda _position: True)
    client.send_text("open")
    assert client.receive() == "lost 1 NOT_DIALLED None TEAR_DOWN"
    assert engine.dials == []


def test_sessions_leave_a_paused_upstream_where_there_is_another(engine):
    paused = set()
    client, _, _ = engine.start_with_upstream(upstreams=2, is_paused=paused.__contains__)
    alone, _, _ = engine.start_with_upstream(upstreams=1, is_paused=paused.__contains__)
    paused.add(0)
    assert engine.supervisor.ask(lifecycle.LeaveUpstream(0), timeout=WAIT_S) == 1
    assert client.receive() == "moving"
    assert engine.supervisor.ask(lifecycle.LeaveUpstream(1), timeout=WAIT_S) == 0
    alone.send_text("probe")
    assert alone.receive() == "caught up"


# Restarts.


def test_a_lost_upstream_is_replaced_and_the_machine_gets_the_verdict(engine):
    client, first, _ = engine.start_with_upstream(restarts=3)
    first.close(1000)
    assert client.receive() == "lost 1 CLOSED 1000 RESTART"
    assert client.receive() == "opened"
    client.send_text("question")
    assert engine.upstreams[1].receive() == "question"
    (info,) = engine.sessions()
    assert (info.generation, info.restarts) == (2, 1)


def test_an_upstream_that_cannot_be_dialled_is_followed_by_the_next_of_the_list(engine):
    engine.refusals = [DialError(DialFailure.TCP, None, "refused")]
    client, _ = engine.start(restarts=3, upstreams=2)
    client.send_text("open")
    assert client.receive() == "lost 1 NOT_DIALLED None RESTART_ELSEWHERE"
    assert client.receive() == "opened"
    engine.upstreams[-1].close(1001)
    assert client.receive() == "lost 2 CLOSED 1001 RESTART"
    assert client.receive() == "opened"
    assert engine.dials == ["ws://somewhere0", "ws://somewhere1", "ws://somewhere0"]


def test_the_first_dial_and_each_later_one_go_where_the_session_chooses(engine):
    questions, losses = [], []

    def choose(positions, leaving):
        questions.append((list(positions), leaving))
        return positions[-1]

    def note_loss(generation, loss):
        losses.append((generation, loss.code))
        return False

    client, first, _ = engine.start_with_upstream(restarts=3, upstreams=3, choose=choose, note_loss=note_loss)
    first.close(1013)
    assert client.receive() == "lost 1 CLOSED 1013 RESTART_ELSEWHERE"
    assert client.receive() == "opened"
    # The verdict's choice is dialled as it is.
    assert engine.dials == ["ws://somewhere2", "ws://somewhere2"]
    assert questions == [([0, 1, 2], None), ([0, 1, 2], 2)]
    assert losses == [(1, 1013)]


def test_an_upstream_with_another_key_is_dialled_again_after_it_refused_one(engine):
    engine.refusals = [DialError(DialFailure.HTTP_STATUS, 401)]
    client, _ = engine.start(restarts=3, upstreams=2, note_loss=lambda _generation, _loss: True)
    client.send_text("open")
    assert client.receive() == "lost 1 HTTP 401 LEAVE"
    assert client.receive() == "opened"
    assert engine.dials == ["ws://somewhere0", "ws://somewhere0"]


def test_a_budget_that_is_spent_ends_the_session_and_a_completed_turn_refills_it(engine):
    client, _, _ = engine.start_with_upstream(restarts=1)
    for n in (1, 2):
        engine.upstreams[-1].close(1000)
        assert client.receive() == f"lost {n} CLOSED 1000 RESTART"
        assert client.receive() == "opened"
        client.send_text("completed")
        assert client.receive() == "refilled"
    engine.upstreams[-1].close(1000)
    assert [client.receive(), client.receive()] == ["lost 3 CLOSED 1000 RESTART", "opened"]
    engine.upstreams[-1].close(1000)
    assert client.receive() == "lost 4 CLOSED 1000 TEAR_DOWN"
    assert closing(client) == (1011, "lost")


# Failures.


def test_a_bug_in_the_translator_ends_its_session_with_an_error_and_touches_no_other(engine, caplog):
    other, other_upstream, _ = engine.start_with_upstream()
    client, upstream, _ = engine.start_with_upstream()
    client.send_text("crash")
    assert client.receive() == CRASH_FRAME
    assert closing(client) == (1011, "internal error")
    assert closing(upstream) == (1000, "")
    assert "a bug in the translator" in caplog.text
    other.send_text("still here")
    assert other_upstream.receive() == "still here"


@pytest.mark.parametrize("actor_class", [ClientActor, TranslatorActor])
def test_an_actor_that_fails_ends_its_session_with_an_error(engine, actor_class):
    client, upstream, _ = engine.start_with_upstream()
    only(actor_class).tell(pykka.messages.ProxyCall(attr_path=("no_such_method",), args=(), kwargs={}))
    assert client.receive() == CRASH_FRAME
    assert closing(client) == (1011, "internal error")
    assert closing(upstream) == (1000, "")


@pytest.mark.parametrize("actor_class", [ClientActor, TranslatorActor])
def test_the_trio_dies_together(engine, actor_class):
    client, upstream, _ = engine.start_with_upstream()
    only(actor_class).stop(timeout=WAIT_S)
    assert isinstance(upstream.receive(), ConnectionClosed)
    assert client.receive() == CRASH_FRAME
    assert isinstance(client.receive(), ConnectionClosed)


def test_a_failure_of_the_supervisor_s_own_is_logged_and_ends_that_session_only(engine, caplog):
    other, _ = engine.start()
    client, _ = engine.start()
    engine.target = None  # a target that is none: making it raises on the supervisor's thread
    client.send_text("open")
    assert client.receive() == CRASH_FRAME
    assert closing(client) == (1011, "internal error")
    assert "the supervisor failed at UpstreamRequested" in caplog.text
    other.send_text("wait not")
    assert other.receive() == "not"


def test_a_client_that_does_not_read_costs_only_itself(engine):
    limits = ConnectionLimits(write_buffer_bytes=100_000, close_timeout_s=0.2)
    client, upstream, machine = engine.start_with_upstream(limits=limits)
    other, other_upstream, _ = engine.start_with_upstream()
    client.stop_reading()
    for _ in range(40):
        upstream.send_text("x" * 10_000)
    assert machine.ended.wait(WAIT_S)
    assert isinstance(machine.inputs[-1], messages.ClientOverflowed | messages.ClientClosed)
    other.send_text("still here")
    assert other_upstream.receive() == "still here"


# The process ends.


def test_a_drain_ends_every_session_and_those_that_were_accepted_as_it_began(engine):
    clients = [engine.start()[0] for _ in range(5)]
    drained = engine.drain()
    clients.append(engine.start(expect=None)[0])
    for client in clients:
        assert client.receive() == "draining"
        assert closing(client) == (1012, "drain")
    assert drained.wait(WAIT_S)
    assert any(engine.sessions() == [] for _ in range(10_000))


def test_idle_sessions_are_warned_together_and_end_one_after_the_other(engine, monkeypatch):
    due = []
    monkeypatch.setattr(Dispatcher, "call_later", lambda _dispatcher, delay_s, end: due.append((delay_s, end)))
    clients = [engine.start()[0] for _ in range(4)]
    drained = engine.drain(10.0)
    firsts = [client.receive() for client in clients]
    assert sorted(firsts) == ["draining", "will drain", "will drain", "will drain"]
    assert closing(clients.pop(firsts.index("draining"))) == (1012, "drain")
    for place, (delay_s, _) in enumerate(due):
        assert place * leaving.SPACING_S <= delay_s <= (place + 1) * leaving.SPACING_S
    assert not drained.is_set()
    for _, end in due:
        engine.dispatcher.call_soon(end)
    for client in clients:
        assert client.receive() == "draining"
        assert closing(client) == (1012, "drain")
    assert drained.wait(WAIT_S)


def test_a_connection_that_is_accepted_as_the_supervisor_stops_is_aborted(dispatcher):
    pool = Pool("worker", 1)
    pools = {"connector": Connector(1), "pools": Pools(tools=pool, setup=pool, hooks=pool)}
    supervisor = as_ref(Supervisor.start(dispatcher, dispatchers=[dispatcher], **pools))
    connection, client = memory_pair()
    spec = SessionSpec(
        session_id="late",
        machine=ScriptedMachine(),
        dial_target=str,
        dialler=str,
        crash_frame="",
        restarts=0,
        deliver_timeout_s=5.0,
    )
    held = threading.Event()
    dispatcher.call_soon(lambda: held.wait(WAIT_S))
    stop = supervisor.stop(block=False)
    supervisor.tell(lifecycle.StartSession(spec, connection))
    held.set()
    stop.get(timeout=WAIT_S)
    assert isinstance(client.receive(), ConnectionClosed)


def test_a_session_that_is_left_when_the_supervisor_stops_is_cut_off(dispatcher, caplog):
    engine, ended = EngineHarness(dispatcher), threading.Event()
    client, upstream, _ = engine.start_with_upstream(on_end=ended.set)
    actors = [only(actor_class) for actor_class in (ClientActor, TranslatorActor, UpstreamActor)]
    engine.supervisor.stop(timeout=WAIT_S)
    assert client.receive() == CRASH_FRAME
    assert isinstance(client.receive(), ConnectionClosed)
    assert isinstance(upstream.receive(), ConnectionClosed)
    assert all(ref.actor_stopped.wait(WAIT_S) for ref in actors)
    assert ended.is_set()
    assert "session s0 is cut off" in caplog.text
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    engine.connector.close(WAIT_S)
    engine.workers.close(WAIT_S)


# Questions.


def test_the_actors_of_a_session_are_found_by_their_roles(engine):
    engine.start_with_upstream()
    (info,) = engine.sessions()
    found = engine.supervisor.ask(lifecycle.FindActors(info.session_id), timeout=WAIT_S)
    classes = {"client": ClientActor, "translator": TranslatorActor, "upstream 1": UpstreamActor}
    assert found == {name: only(actor_class) for name, actor_class in classes.items()}
    assert engine.supervisor.ask(lifecycle.FindActors("unknown"), timeout=WAIT_S) == {}
