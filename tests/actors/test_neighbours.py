"""Unwanted dials, a stall and the loss of a standby cost no other session anything."""

import threading

import pytest

from actors import messages
from actors.connections.base import ConnectionClosed
from actors.connections.frames import text_frames
from actors.connections.memory import memory_pair
from actors.connections.upstream import DialTarget
from actors.lifecycle import StartSession
from actors.spec import SessionSpec
from actors.watchdog import Watchdog
from tests.support.engine.sessions import CRASH_FRAME, WAIT_S, EngineHarness, ScriptedMachine, closing


@pytest.fixture
def house(dispatcher):
    house = EngineHarness(dispatcher)
    yield house
    house.may_dial.set()
    house.close()


def starts(house, machine, expect="welcome", **spec):
    """Start a session with a machine of the test's own; return its client."""
    connection, client = memory_pair()
    spec = SessionSpec(
        session_id=f"own{next(house.ids)}",
        machine=machine,
        dial_target=lambda route, position: DialTarget(url=f"ws://{route}{position}"),
        dialler=house._dial,
        crash_frame=CRASH_FRAME,
        **{"restarts": 0, "deliver_timeout_s": 5.0, **spec},
    )
    house.supervisor.tell(StartSession(spec, connection))
    assert expect is None or client.receive() == expect
    return client


# C2: dials that no session waits for.


@pytest.fixture
def hanging(house):
    """Make a house whose dial threads all hang."""
    house.may_dial.clear()
    for _ in range(2):
        client, _ = house.start()
        client.send_text("open")
    wait_for(lambda: len(house.dials) == 2)
    return house


def wait_for(holds):
    """Wait until a condition holds that has no event."""
    looked = threading.Event()
    for _ in range(int(WAIT_S * 100)):
        if holds():
            return
        looked.wait(0.01)
    raise AssertionError("it never holds")


def dialled_after(house):
    """Return how many dials there were, once a dial that is requested now was made."""
    client, _ = house.start()
    client.send_text("open")
    house.may_dial.set()
    assert client.receive() == "opened"
    return len(house.dials)


def test_a_dial_for_a_client_that_is_gone_is_never_begun(hanging):
    client, machine = hanging.start()
    client.send_text("open")
    wait_for(lambda: machine.generation == 1)
    client.close()
    assert machine.ended.wait(WAIT_S)
    wait_for(lambda: len(hanging.sessions()) == 2)
    assert dialled_after(hanging) == 3


def test_a_dial_of_an_upstream_that_is_released_is_never_begun(hanging):
    client, machine = hanging.start()
    client.send_text("open")
    client.send_text("replace")
    wait_for(lambda: machine.generation == 2)
    hanging.may_dial.set()
    assert client.receive() == "opened"
    assert len(hanging.dials) == 3


def test_a_dial_that_was_given_up_is_never_begun(hanging):
    client, machine = hanging.start(restarts=1)
    client.send_text("open")
    client.send_text("wait not")
    assert client.receive() == "not"
    hanging.sessions()  # the supervisor has started the upstream's actor
    client.send_text("abandon")
    assert client.receive() == "lost 1 SILENT None RESTART"
    wait_for(lambda: machine.generation == 2)
    hanging.may_dial.set()
    assert client.receive() == "opened"
    assert len(hanging.dials) == 3


def test_an_upstream_that_is_abandoned_before_its_actor_has_started_is_lost(house):
    client, _ = house.start(restarts=1)
    both = (text_frames(text, mask=True, max_frame_bytes=100) for text in ("open", "abandon"))
    client.send_bytes(b"".join(frame for frames in both for frame in frames))
    assert client.receive() == "lost 1 SILENT None RESTART"
    assert client.receive() == "opened"


# 27: a standby that took over by a loss.


class StandbyMachine(ScriptedMachine):
    """A machine with a standby upstream, which takes over when the first is lost."""

    def handle(self, message, now_s):
        match message:
            case messages.ClientTextReceived("open a standby"):
                return [messages.OpenUpstream(2, "somewhere", 0.0, is_standby=True)]
            case messages.UpstreamLost(generation, loss, verdict):
                self.generation = 2
                line = f"lost {generation} {loss.kind.name} {loss.code} {verdict.decision.name}"
                return [messages.SendToClient(line)]
        return super().handle(message, now_s)


def on_standby(house, **spec):
    """Lose an upstream whose standby takes over; return the client and the standby."""
    client = starts(house, StandbyMachine(), **spec)
    client.send_text("open")
    assert client.receive() == "opened"
    client.send_text("open a standby")
    assert client.receive() == "opened"
    first, standby = house.upstreams[-2:]
    first.close(1000)
    assert client.receive().startswith("lost 1 CLOSED 1000")
    client.send_text("question")
    assert standby.receive() == "question"
    return client, standby


def test_the_policy_judges_the_loss_of_a_standby_that_took_over(house):
    client, standby = on_standby(house, restarts=0)
    standby.close(1000)
    assert client.receive() == "lost 2 CLOSED 1000 TEAR_DOWN"
    client.send_text("end")


def test_a_standby_that_took_over_and_refuses_for_good_is_not_dialled_again(house):
    client, standby = on_standby(house, restarts=9, is_fatal=lambda reason: reason == "no quota")
    standby.close(1013, "no quota")
    assert client.receive() == "lost 2 CLOSED 1013 TEAR_DOWN"
    client.send_text("end")


def test_the_loss_of_a_standby_that_only_stands_ready_costs_no_restart(house):
    client = starts(house, StandbyMachine(), restarts=0)
    client.send_text("open")
    assert client.receive() == "opened"
    client.send_text("open a standby")
    assert client.receive() == "opened"
    house.upstreams[-1].close(1000)
    assert client.receive() == "lost 2 CLOSED 1000 RESTART"
    client.send_text("end")


# One dispatcher that stalls on one session's work.


class StallingMachine(ScriptedMachine):
    """A machine whose handler returns only when the test permits."""

    def __init__(self):
        super().__init__()
        self.stalled = threading.Event()
        self.go_on = threading.Event()

    def handle(self, message, now_s):
        if message == messages.ClientTextReceived("stall"):
            self.stalled.set()
            self.go_on.wait(WAIT_S)
        return super().handle(message, now_s)


@pytest.fixture
def watched(house, dispatcher):
    """Watch the dispatcher of a house."""
    watchdog = Watchdog([dispatcher], look_s=0.02).start()
    yield house
    watchdog.stop()


def stall(house):
    """Stall the dispatcher until the watchdog has ended the session; return the machine."""
    machine = StallingMachine()
    client = starts(house, machine)
    client.send_text("stall")
    assert machine.stalled.wait(WAIT_S)
    assert client.receive() == CRASH_FRAME
    assert closing(client)[0] == 1011
    return machine


def test_a_session_that_stalls_its_dispatcher_ends_alone(watched):
    neighbour, upstream, _ = watched.start_with_upstream()
    machine = stall(watched)
    machine.go_on.set()
    neighbour.send_text("still here")
    assert upstream.receive() == "still here"
    upstream.send_text("so am I")
    assert neighbour.receive() == "so am I"


def test_what_neighbours_sent_during_a_stall_is_handled_after_it(watched):
    neighbour, upstream, _ = watched.start_with_upstream()
    machine = StallingMachine()
    client = starts(watched, machine)
    client.send_text("stall")
    assert machine.stalled.wait(WAIT_S)
    neighbour.send_text("meanwhile")
    assert client.receive() == CRASH_FRAME
    machine.go_on.set()
    assert upstream.receive() == "meanwhile"
    assert isinstance(client.receive(), ConnectionClosed)
