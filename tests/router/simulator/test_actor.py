"""The session's actor over a connection in memory."""

import logging
from contextlib import contextmanager

import orjson
import pytest

from actors.connections.base import ConnectionClosed, ConnectionLimits
from actors.connections.memory import memory_pair
from actors.dispatcher import Dispatcher
from router.simulator import Fault, FaultAction, FaultPoint, Session, SimulatorConfig
from router.simulator.actor import ShutDown, SimulatedSession
from router.simulator.faults import FaultPlan
from router.simulator.recording import Recorder
from router.simulator.state import Script


@pytest.fixture
def dispatcher():
    dispatcher = Dispatcher("under test").start()
    yield dispatcher
    assert dispatcher.stop()


class Breaking(Session):
    """A session with a bug."""

    def receive(self, text):
        raise RuntimeError(text)


@contextmanager
def running(dispatcher, *faults, kind=Session, script=None, **config):
    """Run a session's actor, and yield its peer, recorder and ref."""
    config = SimulatorConfig(pace=0, **config)
    connection, peer = memory_pair(ConnectionLimits(close_timeout_s=1))
    recorder = Recorder(10, 10)
    record = recorder.open({}, {})
    session = kind(config, FaultPlan(faults), script or Script(), number=1, model="gpt-realtime", opened_at_s=0)
    ref = SimulatedSession.start(
        dispatcher, connection=connection, session=session, refusal=None, recorder=recorder, record=record
    )
    try:
        yield peer, recorder, ref
    finally:
        peer.read_again()
        if ref.is_alive():
            ref.tell(ShutDown())
        assert ref.actor_stopped.wait(5)


def send(peer, kind, **fields):
    peer.send_text(orjson.dumps({"type": kind, **fields}).decode())


def until(peer, kind):
    """Receive events up to one of that type, and return all."""
    events = []
    while not events or events[-1]["type"] != kind:
        events.append(orjson.loads(peer.receive()))
    return events


def test_a_session_is_carried_both_ways(dispatcher):
    with running(dispatcher) as (peer, recorder, _ref):
        until(peer, "session.created")
        send(peer, "response.create", response={"output_modalities": ["text"]})
        until(peer, "rate_limits.updated")
        assert recorder.connections()[0].sent["response.done"] == 1


def test_a_bug_closes_its_own_connection_with_1011(dispatcher, caplog):
    with caplog.at_level(logging.CRITICAL), running(dispatcher, kind=Breaking) as (peer, recorder, ref):
        until(peer, "session.created")
        send(peer, "response.create")
        closed = peer.receive()
        assert isinstance(closed, ConnectionClosed)
        assert closed.code == 1011
        recorder.wait_for(lambda: recorder.connections()[0].closed, 5)
        assert not ref.is_alive()


def test_a_stream_waits_for_a_slow_reader_and_loses_nothing(dispatcher):
    script = Script()
    script.add(answers=["a long story " * 300])
    with running(dispatcher, script=script) as (peer, recorder, _ref):
        until(peer, "session.created")
        peer.stop_reading()
        send(peer, "response.create")
        recorder.wait_for(lambda: recorder.connections()[0].sent["response.created"], 5)
        peer.read_again()
        events = until(peer, "response.done")

    deltas = [event for event in events if event["type"] == "response.output_audio.delta"]
    assert len(deltas) == 3900 * 60 // 100


def test_delays_in_a_row_keep_the_order(dispatcher):
    slow = Fault(point=FaultPoint.MID_TEXT, action=FaultAction.DELAY, delay_s=0.01, times=3)
    with running(dispatcher, slow) as (peer, _recorder, _ref):
        until(peer, "session.created")
        send(peer, "response.create", response={"output_modalities": ["text"]})
        numbers = [event["event_id"] for event in until(peer, "rate_limits.updated")]

    assert numbers == sorted(numbers)


def test_shutting_down_ends_a_hung_session_too(dispatcher):
    hang = Fault(point=FaultPoint.SESSION_CREATED, action=FaultAction.HANG)
    with running(dispatcher, hang) as (peer, _recorder, ref):
        until(peer, "session.created")
        ref.tell(ShutDown())
        assert peer.receive().code == 1006
