"""Sessions of real actors and a real supervisor, over memory connections, with a machine that follows a script."""

import threading

import pykka

from actors import lifecycle, messages
from actors.actor import as_ref
from actors.connections.base import ConnectionClosed, ConnectionLimits
from actors.connections.memory import memory_pair
from actors.connections.upstream import DialTarget
from actors.connector import Connector
from actors.machine import Machine
from actors.pool import Pool
from actors.restart import Decision, Loss, LossKind
from actors.spec import SessionSpec
from actors.supervisor import Supervisor
from actors.work import Pools
from tests.support.engine.dispatching import WAIT_S

CRASH_FRAME = '{"type":"Error","code":"INTERNAL_SERVER_ERROR"}'


class ScriptedMachine(Machine):
    """A machine that relays frames, obeys commands in the client's texts, and records its inputs."""

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
            case messages.ClientTextReceived("replace"):
                return [messages.CloseUpstream(self.generation), *self.open()]
            case messages.ClientTextReceived("abandon"):
                return [messages.AbandonUpstream(self.generation, Loss(kind=LossKind.SILENT, cause="silence"))]
            case messages.ClientTextReceived("completed"):
                return [messages.ResetRestartBudget(), messages.SendToClient("refilled")]
            case messages.ClientTextReceived("probe"):
                return [messages.ProbeClient()]
            case messages.ClientTextReceived("crash"):
                raise ValueError("a bug in the translator")
            case messages.ClientTextReceived("end"):
                return [messages.SendToClient("bye"), messages.EndSession(1000, "done")]
            case messages.ClientTextReceived("end and report"):
                return [messages.SendToClient("bye"), messages.EndSession(1000, "done", report_s=0.3)]
            case messages.ClientTextReceived("wait"):
                return [messages.StartTimer("t", 0.01)]
            case messages.ClientTextReceived("wait long"):
                return [messages.StartTimer("t", 60.0), messages.SendToClient("waiting")]
            case messages.ClientTextReceived("wait not"):
                return [messages.StartTimer("t", 0.01), messages.CancelTimer("t"), messages.SendToClient("not")]
            case messages.ClientTextReceived("log"):
                return [messages.Log(30, "a line of the machine's"), messages.SendToClient("logged")]
            case messages.ClientTextReceived(text):
                return [messages.SendToUpstream(text, self.generation)]
            case messages.ClientBinaryReceived(data):
                return [messages.SendToUpstream(f"{len(data)} bytes", self.generation)]
            case messages.ClientPaused() | messages.ClientResumed():
                return []
            case messages.ClientCaughtUp():
                return [messages.SendToClient("caught up")]
            case messages.UpstreamOpened():
                return [messages.SendToClient("opened")]
            case messages.UpstreamTextReceived(_, text):
                return [messages.SendToClient(text)]
            case messages.UpstreamBinaryReceived(_, data):
                return [messages.SendToClient(data)]
            case messages.TimerFired(name):
                return [messages.SendToClient(f"fired {name}")]
            case messages.UpstreamLost(generation, loss, verdict):
                lost = messages.SendToClient(f"lost {generation} {loss.kind.name} {loss.code} {verdict.decision.name}")
                if verdict.decision is Decision.TEAR_DOWN:
                    return [lost, messages.EndSession(1011, "lost")]
                return [lost, *self.open(verdict.delay_s)]
            case messages.EndRequested():
                return [messages.SendToClient("ended"), messages.EndSession(1000, "operator")]
            case messages.MoveRequested():
                return [messages.SendToClient("moving")]
            case messages.DrainBegan(keeps_idle=True):
                return [messages.SendToClient("will drain")]
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


class EngineHarness:
    """A supervisor, with sessions whose clients and upstreams the test controls."""

    def __init__(self, dispatcher):
        self.dispatcher = dispatcher
        self.connector = Connector(2)
        self.workers = Pool("worker", 1, max_waiting=1)
        pools = Pools(tools=self.workers, setup=self.workers, hooks=self.workers)
        self.supervisor = as_ref(
            Supervisor.start(dispatcher, dispatchers=[dispatcher], connector=self.connector, pools=pools)
        )
        self.upstreams = []
        self.began_to_dial = threading.Semaphore(0)
        self.dialled = threading.Semaphore(0)
        self.may_dial = threading.Event()
        self.may_dial.set()
        self.refusals = []
        self.limits = ConnectionLimits()
        self.observed = []
        self.dials = []
        self.target = DialTarget
        self.ids = iter(range(1000))

    def start(self, limits=None, expect="welcome", machine=None, **spec):
        """Start a session. Return its client and its machine."""
        machine = machine or ScriptedMachine()
        connection, client = memory_pair(limits)
        self.start_over(connection, machine, **spec)
        assert expect is None or client.receive() == expect
        return client, machine

    def start_over(self, connection, machine, **spec):
        """Start a session over a connection to its client."""
        session_id = f"s{next(self.ids)}"
        spec = SessionSpec(
            session_id=session_id,
            machine=machine,
            dial_target=lambda route, position: self.target(url=f"ws://{route}{position}"),
            dialler=self._dial,
            crash_frame=CRASH_FRAME,
            **{"restarts": 0, "deliver_timeout_s": 5.0, "observe": self.observed.append, **spec},
        )
        self.supervisor.tell(lifecycle.StartSession(spec, connection))

    def start_with_upstream(self, **options):
        """Start a session that has an upstream. Return its client, the upstream and its machine."""
        client, machine = self.start(**options)
        client.send_text("open")
        assert client.receive() == "opened"
        return client, self.upstreams[-1], machine

    def _dial(self, target):
        self.dials.append(target.url)
        self.began_to_dial.release()
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


def only(actor_class):
    """Return the ref of the only actor of a class."""
    (ref,) = pykka.ActorRegistry.get_by_class(actor_class)
    return ref


def describe(actor_class):
    """Return the facts about the one actor of a class."""
    return only(actor_class).ask(lifecycle.Describe(), timeout=WAIT_S)


def closing(client):
    """Receive the end of a connection. Return its code and reason."""
    closed = client.receive()
    assert isinstance(closed, ConnectionClosed), closed
    return closed.code, closed.reason
