"""A router with an upstream that fails on demand, in virtual time.

The session machine, the supervisor with its restart policy, the actors of the session and those of the simulator, and
the connections' protocol are the real ones. Byte streams in memory with a latency replace the sockets, and
failed dials are raised as `dial` raises them (tests/actors/connections/test_dial.py shows that it does).
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from actors.actor import Ref, as_ref
from actors.connections.base import ConnectionLimits
from actors.connections.memory import MemoryConnection
from actors.connections.upstream import DialError, DialFailure, DialTarget
from actors.lifecycle import StartSession
from actors.messages import ClientAdopted
from actors.pool import Job
from actors.spec import SessionSpec
from actors.supervisor import Supervisor
from actors.work import Pools
from router.assembly.carried import count_adoption, open_parcel
from router.assembly.factory import SessionFactory, endpoints_of
from router.config.model import Deadlines, RouterConfig
from router.config.upstream import Upstream
from router.fronts.table import FRONTS
from router.hooks import Hooks, Request
from router.session.recovery import Record, rest_of
from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from router.simulator.actor import SimulatedSession
from router.simulator.admission import refusal_of
from router.simulator.faults import FaultPlan
from router.simulator.recording import ConnectionRecord, Recorder
from router.simulator.session import Session
from router.simulator.state import Script
from router.tools.registry import FunctionRegistry
from router.tools.runner import WorkRunner
from tests.support.clients.wire_client import StreamClient
from tests.support.faults.keeper import Keeper, KeptMachine, Left
from tests.support.faults.matrix import Where
from tests.support.faults.world import DEADLINES, Route, judge
from tests.support.machine.virtual_time import Clock, VirtualDispatcher, VirtualPool, virtual_time

DIAL_LATENCIES = 3
"""The latencies from the dial until the upstream has the request: two for TCP, one for the request."""
WORK_S = 0.001
"""The seconds that a job of a pool takes."""
ADOPTION_S = 0.05
"""The seconds from the death of a worker to the adoption of its sessions."""
END_S = 30.0
"""The longest time in seconds that a session may last after its client's close."""

SESSION_ID = "5e551011-0000-4000-8000-000000000000"
URL = "ws://upstream.invalid/v1/realtime"
SIMULATOR_LIMITS = ConnectionLimits(close_timeout_s=1.0)

SIMULATOR, CLOSED_PORT, NO_TLS, ABRUPT = range(4)
"""The targets of a `Route` in a virtual world, in place of ports."""
ABRUPT_S = 1.0
"""The seconds for which the abrupt server waits for an answer to its last frames."""

FAILED_DIALS = {
    None: DialFailure.DNS,
    CLOSED_PORT: DialFailure.TCP,
    NO_TLS: DialFailure.TLS,
}
"""The failure of a dial by the target of its route; None is a name without an address."""


@dataclass(frozen=True)
class Conditions:
    """The properties of a world that depend on the machine or on chance over sockets."""

    latency_s: float = 0.001
    """The seconds from a write to its arrival at the other end of a stream."""
    is_answer_alone: bool = False
    """Whether the upstream's first frames come after its handshake. Otherwise they come together with it."""
    jitter: float = 0.5
    """The share of a back-off's jitter: 0 is the shortest back-off, 1 the longest."""


BETWEEN = Conditions()
"""The conditions of a test that names none."""


class VirtualConnection(MemoryConnection):
    """A connection that the dispatcher reads like a socket: before the calls of its turn, and not among them.

    So a close frame that came with an event reaches the supervisor before the session has answered the event.
    """

    def arrive(self, data: bytes | OSError) -> None:
        """Receive the peer's bytes, and read them. A timer calls this."""
        self._incoming.append(data)
        self._on_readable()

    def _watch(self, *, reading: bool, writing: bool) -> None:  # noqa: ARG002 - what is written is always taken
        self._is_reading = reading
        if reading and self._incoming and self._dispatcher is not None:
            self._dispatcher.call_later(0.0, self._on_readable)


@dataclass
class Stalled:
    """A stall of one direction of the network, which then carries nothing."""

    until_s: float = 0.0


class OneWay:
    """One direction of a byte stream. Written bytes arrive in order, after the latency."""

    def __init__(
        self,
        dispatcher: VirtualDispatcher,
        latency_s: float,
        arrive: Callable[[bytes], None],
        stall: Stalled | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._latency_s = latency_s
        self._arrive = arrive
        self._stall = stall or Stalled()
        self._has_ended = False

    @property
    def _delay_s(self) -> float:
        return max(0.0, self._stall.until_s - self._dispatcher.now_s) + self._latency_s

    def take(self, data: bytes) -> int:
        """Take what is written."""
        if data and not self._has_ended:
            self._dispatcher.arrive_later(self._delay_s, lambda: self._arrive(data))
        return len(data)

    def lose(self) -> None:
        """End the stream behind what was written."""
        if not self._has_ended:
            self._has_ended = True
            self._dispatcher.arrive_later(self._delay_s, lambda: self._arrive(b""))


class VirtualStream:
    """The client's end of a stream, with the methods of a socket. A wait for data runs the world."""

    def __init__(
        self,
        dispatcher: VirtualDispatcher,
        latency_s: float,
        connection: VirtualConnection,
        stalls: dict[Where, Stalled],
    ) -> None:
        self._dispatcher = dispatcher
        self._incoming: deque[bytes] = deque()
        self._timeout_s = 0.0
        self.deliver: Callable[[bytes], None] = connection.arrive
        """Called with the bytes that arrive at the router."""
        self._to_router = OneWay(dispatcher, latency_s, self._arrive, stalls[Where.CLIENT_TO_ROUTER])
        self.to_client = OneWay(dispatcher, latency_s, self._incoming.append, stalls[Where.ROUTER_TO_CLIENT])
        connection.memory_peer = self.to_client

    def _arrive(self, data: bytes) -> None:
        self.deliver(data)

    def settimeout(self, timeout_s: float) -> None:
        """Set the longest wait of `recv`."""
        self._timeout_s = timeout_s

    def sendall(self, data: bytes) -> None:
        """Send."""
        self._to_router.take(data)

    def recv(self, _most_bytes: int) -> bytes:
        """Return the next bytes, or `b""` at the end of the stream. Raises `TimeoutError`."""
        if not self._dispatcher.run_until(lambda: bool(self._incoming), self._timeout_s):
            raise TimeoutError
        return self._incoming.popleft() if self._incoming[0] else b""

    def close(self) -> None:
        """End the stream."""
        self._to_router.lose()


class Nowhere:
    """The peer of a connection whose process has died."""

    def take(self, data: bytes) -> int:
        """Take what is written."""
        return len(data)

    def lose(self) -> None:
        """Do nothing."""


class KeptStream:
    """The stream of a worker to its client. The keeper counts the bytes that are written to it."""

    def __init__(self, to_client: OneWay, keeper: Keeper) -> None:
        self._to_client = to_client
        self._keeper = keeper

    def take(self, data: bytes) -> int:
        """Take what is written."""
        self._keeper.written += len(data)
        return self._to_client.take(data)

    def lose(self) -> None:
        """End the stream behind what was written."""
        self._to_client.lose()


class KilledAt(FaultPlan):
    """A plan of faults that also calls a function at each reset."""

    def __init__(self, faults: tuple[Fault, ...], kill: Callable[[], None]) -> None:
        super().__init__(faults)
        self._kill = kill

    def take(self, point: FaultPoint, connection: int) -> Fault | None:
        """Return the fault that is due; see `FaultPlan.take`."""
        fault = super().take(point, connection)
        if fault is not None and fault.action is FaultAction.RESET:
            self._kill()
        return fault


class VirtualSimulator:
    """A simulator without a listener. Its sessions run on the world's dispatcher."""

    def __init__(
        self,
        config: SimulatorConfig,
        dispatcher: VirtualDispatcher,
        clock: Clock,
        latency_s: float,
        stalls: dict[Where, Stalled],
    ) -> None:
        self._stalls = stalls
        self._config = config
        self.kill: Callable[[], None] = lambda: None
        """The function that is called at each reset."""
        self._dispatcher = dispatcher
        self._latency_s = latency_s
        self._clock = clock
        self._plan = KilledAt(config.faults, self._note_reset)
        self._script = Script()
        self._recorder = Recorder(config.record_connections, config.record_events)
        self.sessions: list[Any] = []

    def _note_reset(self) -> None:
        self.kill()

    @property
    def connections(self) -> list[ConnectionRecord]:
        """The connections, the oldest first, with the refused ones; see `Simulator.connections`."""
        return self._recorder.connections()

    def accept(self, target: DialTarget) -> VirtualConnection:
        """Perform the handshake, and return the dialler's end of the connection.

        Raises:
            DialError: a fault happens at the handshake.
        """
        headers = {name.lower(): value for name, value in target.headers}
        query = dict(parse_qsl(urlsplit(target.url).query))
        record = self._recorder.open(headers, query)
        self._shake_hands(target, record.number)
        dialled, accepted = VirtualConnection(target.limits, is_server=False), VirtualConnection(SIMULATOR_LIMITS)
        there, back = self._stalls[Where.ROUTER_TO_UPSTREAM], self._stalls[Where.UPSTREAM_TO_ROUTER]
        dialled.memory_peer = OneWay(self._dispatcher, self._latency_s, accepted.arrive, there)
        accepted.memory_peer = OneWay(self._dispatcher, self._latency_s, dialled.arrive, back)
        session = Session(
            self._config,
            self._plan,
            self._script,
            number=record.number,
            model=query.get("model", ""),
            opened_at_s=self._clock.time(),
            observe=lambda event: self._recorder.received(record, event),
        )
        refusal = refusal_of(headers, query, self._config)
        actor = SimulatedSession.start(
            self._dispatcher,
            connection=accepted,
            session=session,
            refusal=refusal,
            recorder=self._recorder,
            record=record,
        )
        self.sessions.append(actor)
        return dialled

    def _shake_hands(self, target: DialTarget, number: int) -> None:
        fault = self._plan.take(FaultPoint.HANDSHAKE, number)
        if fault is None:
            return
        match fault.action:
            case FaultAction.REFUSE:
                raise DialError(DialFailure.HTTP_STATUS, fault.status, url=target.url)
            case FaultAction.RESET:
                raise DialError(DialFailure.HANDSHAKE, url=target.url)
            case FaultAction.HANG:
                raise DialError(DialFailure.TIMEOUT, url=target.url)
        raise ValueError(f"no cell of the virtual world has {fault.action} at the handshake: hold it over sockets")


class VirtualConnector(VirtualPool):
    """Dials on the virtual clock."""

    def __init__(self, dispatcher: VirtualDispatcher, takes_s: float, timeout_s: float, answer_s: float) -> None:
        super().__init__("connector", dispatcher, takes_s)
        self._timeout_s = timeout_s
        self._answer_s = answer_s

    def submit(self, work: Callable[[], Any], done: Callable[[Any], None]) -> Job:
        """Dial, and deliver the outcome when it is known. A dial that times out takes its whole time."""

        def hand_in(outcome: Any) -> None:
            is_late = isinstance(outcome, DialError) and outcome.kind is DialFailure.TIMEOUT
            self._dispatcher.call_later(self._timeout_s if is_late else self._answer_s, lambda: done(outcome))

        return super().submit(work, hand_in)


class VirtualWorld:
    """One router, its simulator, the route between them, and a clock. `virtual_world` makes it."""

    def __init__(
        self,
        clock: Clock,
        simulator: SimulatorConfig,
        deadlines: Deadlines,
        conditions: Conditions,
        last_frames: bytes,
    ) -> None:
        config = RouterConfig(deadlines=deadlines, upstreams=(Upstream(url=URL),))
        self._dispatcher = dispatcher = VirtualDispatcher(clock)
        self.clock = clock
        self._latency_s = latency_s = conditions.latency_s
        self._stalls = {where: Stalled() for where in Where}
        self.simulator = VirtualSimulator(simulator, dispatcher, clock, latency_s, self._stalls)
        self.routes = [Route(SIMULATOR)]
        self._last_frames = last_frames
        registry = FunctionRegistry()
        self._factory = SessionFactory(config, registry, Hooks())
        self._runner = WorkRunner(registry, lambda: endpoints_of(config))
        answer_s = 0.0 if conditions.is_answer_alone else latency_s
        connector = VirtualConnector(dispatcher, DIAL_LATENCIES * latency_s, deadlines.dial_s, answer_s)
        pool = VirtualPool("pool", dispatcher, WORK_S)

        def start_supervisor() -> Ref:
            return as_ref(
                Supervisor.start(
                    dispatcher, dispatchers=[dispatcher], connector=connector, pools=Pools(pool, pool, pool)
                )
            )

        self._start_supervisor = start_supervisor
        self._supervisors = [start_supervisor()]
        """The supervisors: that of the first worker, and one for each replacement of a dead worker."""
        self._sessions = 0
        self.makes_records = True
        """Whether the keepers make records: most of the cost of a cell whose worker does not die."""

    def call(self, profile: str, client: type[StreamClient] = StreamClient) -> StreamClient:
        """Begin a session, and return its client, which is of the class `client`."""
        connection = VirtualConnection(self._factory.limits)
        stream = VirtualStream(self._dispatcher, self._latency_s, connection, self._stalls)
        request = Request(path="", profile=profile, query={}, headers={})
        spec = self._factory.of(SESSION_ID, request, None, perform=self._runner, on_end=self._note_end)
        first_text = FRONTS[profile].first_text(SESSION_ID)
        if first_text is not None:
            connection.send_text(first_text)
        self._sessions += 1
        if spec.carried is not None:
            spec = self._kept(spec, Keeper(first_text, makes_records=self.makes_records), stream, connection)
        self._supervisors[0].tell(StartSession(msgspec.structs.replace(spec, dialler=self._dial), connection))
        return client(stream, profile, clock=self.clock.monotonic)

    # The death of the worker.

    def _kept(
        self, spec: SessionSpec, keeper: Keeper, stream: VirtualStream, connection: VirtualConnection
    ) -> SessionSpec:
        assert spec.carried is not None
        machine = KeptMachine(spec.machine, spec.carried, keeper)
        connection.memory_peer = KeptStream(stream.to_client, keeper)

        def deliver(data: bytes) -> None:
            keeper.note_arrival(data)
            connection.arrive(data)

        stream.deliver = deliver
        keeper.kill = lambda: self._kill_worker(keeper, stream, connection)
        self.keeper = keeper
        return msgspec.structs.replace(spec, machine=machine)

    def kill_at_reset(self) -> None:
        """Kill the worker at each reset of an upstream."""
        self.simulator.kill = self._kill

    def _kill(self) -> None:
        self.keeper.kill()

    def _kill_worker(self, keeper: Keeper, stream: VirtualStream, connection: VirtualConnection) -> None:
        """Let the worker be dead from now on, and let another worker adopt its session."""
        waiting: list[bytes] = []
        if keeper.is_dead or keeper.record is None:
            return
        keeper.is_dead = True
        record, left = keeper.record, Left(keeper.journal, keeper.written, keeper.words)
        connection.memory_peer = Nowhere()
        stream.deliver = waiting.append
        self._dispatcher.call_soon(connection.abort)
        self._sessions += 1
        self._dispatcher.arrive_later(ADOPTION_S, lambda: self._adopt(record, left, stream, waiting))

    def _adopt(self, record: Record, left: Left, stream: VirtualStream, waiting: list[bytes]) -> None:
        rest = rest_of(record, left.written)
        parcel = open_parcel(count_adoption(record.snapshot))
        connection = VirtualConnection(self._factory.limits)
        connection.memory_peer = stream.to_client
        stream.to_client.take(rest.unwritten)
        for data in waiting:
            connection.arrive(data)
        stream.deliver = connection.arrive
        spec = self._factory.of(
            parcel.session_id,
            parcel.request,
            parcel.turn_detection,
            perform=self._runner,
            on_end=self._note_end,
            parcel=parcel,
            journal=left.journal,
        )
        self._supervisors.append(self._start_supervisor())
        spec = msgspec.structs.replace(spec, dialler=self._dial)
        adopted = ClientAdopted(sent_bytes=rest.sent_bytes, words=left.words)
        self._supervisors[-1].tell(StartSession(spec, connection, adopted))

    def stall(self, where: Where, duration_s: float) -> None:
        """Let the dispatcher, or one direction of the network, do nothing for this time from now on."""
        if where is Where.DISPATCHER:
            self._dispatcher.stall(duration_s)
        else:
            self._stalls[where].until_s = self.clock.now_s + duration_s

    def wait_for_end(self) -> None:
        """Wait until each session has ended."""
        assert self._dispatcher.run_until(lambda: not self._sessions, END_S), "a session does not end"

    def stop(self) -> None:
        """Stop every actor, and the dispatcher."""
        for actor in (*self.simulator.sessions, *self._supervisors):
            if actor.is_alive():
                actor.stop(block=False)
        self._dispatcher.run_until(lambda: False, END_S)
        self._dispatcher.close()

    def judge(self) -> None:
        """Fail if anything is left over or failed unnoticed, or if the oracle rejects an event to the upstream."""
        assert not self._dispatcher.active_timers(), "a timer is left"
        assert not self._dispatcher.failures, "a callback failed"
        judge(self.simulator)

    def _note_end(self) -> None:
        self._sessions -= 1

    def _dial(self, target: DialTarget) -> VirtualConnection:
        place = self.routes[0].take()
        if place in FAILED_DIALS:
            raise DialError(FAILED_DIALS[place], url=target.url)
        return self._connect_abruptly(target) if place == ABRUPT else self.simulator.accept(target)

    def _connect_abruptly(self, target: DialTarget) -> VirtualConnection:
        """Return a connection to a server that sends its last frames with the handshake, and then hangs up."""
        connection = VirtualConnection(target.limits, is_server=False)
        connection.arrive(self._last_frames)
        hang_up = OneWay(self._dispatcher, self._latency_s, connection.arrive)
        connection.memory_peer = OneWay(self._dispatcher, self._latency_s, lambda _data: hang_up.lose())
        self._dispatcher.call_later(ABRUPT_S, hang_up.lose)
        return connection


@contextlib.contextmanager
def virtual_world(
    simulator: SimulatorConfig,
    *,
    deadlines: Deadlines = DEADLINES,
    conditions: Conditions = BETWEEN,
    last_frames: bytes = b"",
) -> Iterator[VirtualWorld]:
    """Make a world with one upstream. `last_frames` are the last frames of the server at `ABRUPT`."""
    with virtual_time(conditions.jitter) as clock:
        here = VirtualWorld(clock, simulator, deadlines, conditions, last_frames)
        try:
            yield here
            here.wait_for_end()
        finally:
            here.stop()
        here.judge()
