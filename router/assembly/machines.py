"""The machine of a session, built as layers around the session.

From inside out the layers are the session, the guard, the wire view, the front, the trace of messages and the recorder.
A relay itself exchanges messages with the upstream, so the guard and the wire view are around the relay.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from router.access.pending import UntilSettings
from router.assembly import guard_memory as guards
from router.assembly.carried import no_memory, restored
from router.fronts import agents
from router.fronts.failover import build
from router.fronts.front import Call, Noting, Remembering, guarded, standalone
from router.guard.inputs import GuardedInputs
from router.guard.machine import GuardedMachine
from router.logs import trace
from router.session.machine import Session
from router.session.snapshot import SnapshotError
from router.session.state.states import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.machine import Machine
    from actors.messages import LateReport, UpstreamTextReceived
    from router.access.request import Request
    from router.assembly.carried import Memory, Parcel
    from router.call_names import CallNames
    from router.config.model import RouterConfig
    from router.fronts.failover.build import Plan
    from router.fronts.front import Front, Standalone
    from router.observer.sessions import SessionObserver
    from router.recording.recorder import Recorder
    from router.session.options import SessionOptions
    from router.wire_view import WireView


logger = logging.getLogger(__name__)


class Assembled(NamedTuple):
    """The machine of one session that the engine runs."""

    session: Session
    machine: Machine
    read_late: Callable[[UpstreamTextReceived], LateReport | None]
    on_end: Callable[[], None]
    memory: Memory
    """The function that returns the memory of the front's machine; empty if the machine has none."""
    backends: Memory
    """The function that returns the memory of the machine of two backends; empty if the call has none."""
    relay: Standalone | None
    """The relay in place of the session, or the machine of two backends, if there is one that can move."""
    is_movable: bool
    """Whether the memory of the whole machine can be written."""
    guard: GuardedInputs | None
    """The guard, if there is one."""
    front: Noting | None
    """The machine of the front, if its frames are not the session's audio."""


class _Fronted(NamedTuple):
    """The machine of a front, and functions for the move of its session."""

    machine: Machine
    memory: Memory = no_memory
    backends: Memory = no_memory
    relay: Standalone | None = None
    is_movable: bool = True
    guard: GuardedInputs | None = None
    front: Noting | None = None


class _Memories(NamedTuple):
    """The memories of a session's machines in another process, each empty if there is none."""

    front: bytes = b""
    guard: bytes = b""
    backends: bytes = b""


class Machines:
    """The maker of all sessions' machines. Methods may be called from any thread."""

    def __init__(self, config: RouterConfig, redact: Callable[[str], str]) -> None:
        self._config = config
        self._redact = redact
        self._agents = agents.checked(config.agents)
        self.wire_view: WireView | None = None
        self.recorder: Recorder | None = None
        """The writer of recordings; None without the setting `record`."""

    def of(
        self,
        session_id: str,
        front: Front,
        request: Request,
        options: SessionOptions,
        *,
        names: CallNames,
        observer: SessionObserver,
        on_end: Callable[[], None],
        on_settings: Callable[[], None] | None,
        parcel: Parcel | None = None,
        failover: Plan | None = None,
    ) -> Assembled:
        """Return the machine of a session, with the front, the log of messages and the recorder around it.

        `on_settings` is called once: here if the session of `parcel` has its Settings already, else by the dispatcher
        when they arrive. `parcel` holds a session that
        another process carried. That session is not recorded here, because a recording must contain the beginning of
        its session. With `failover` either of two backends may serve the call.

        Raises:
            SnapshotError: a part of `parcel` is damaged or of another version.
        """
        if self.recorder is not None:
            options = self.recorder.watched(options)
        session = _session(session_id, front, options, parcel)
        memories = _Memories(parcel.memory, parcel.guard, parcel.backends) if parcel is not None else _Memories()
        fronted = self._fronted(session_id, front, session, request, names=names, failover=failover, memories=memories)
        machine = self._traced(fronted.machine, observer)
        read_late = session.read_late
        principal = request.principal.id if request.principal is not None else None
        is_recorded = self.recorder is not None and self.recorder.wants(session_id, principal)
        if is_recorded and parcel is not None:
            logger.info("session %s is not recorded here: its recording ended with another process", session_id)
        elif self.recorder is not None and is_recorded:
            recorded = self.recorder.begin(session_id, session, machine, self._agents, request, failover=failover)
            machine, read_late, on_end = recorded, recorded.read_late, recorded.ending(on_end)
        is_settled = session.state.lifecycle is not Lifecycle.AWAITING_SETTINGS
        if on_settings is not None and (is_settled or (parcel is not None and fronted.relay is not None)):
            on_settings()  # the other process has already received them
        elif on_settings is not None:
            machine = UntilSettings(machine, machine.describe, on_settings)
        return Assembled(session, machine, read_late, on_end, *fronted[1:])

    def _fronted(
        self,
        session_id: str,
        front: Front,
        session: Session,
        request: Request,
        *,
        names: CallNames,
        failover: Plan | None,
        memories: _Memories,
    ) -> _Fronted:
        call = Call(
            session=session,
            machine=session,
            agents=self._agents,
            config=self._config,
            policy=session.context.options.policy,
            bound=request.principal.terms.session if request.principal is not None else None,
            query=request.query,
            session_id=session_id,
            names=names,
            memory=memories.front,
        )
        own: Machine = session
        if failover is not None:
            own = build.machine_of(front, call, failover, memories.backends)
        elif front.is_relay:
            own = _adapted(front, call)
        machine = own
        if front.is_relay and (failover is None or build.has_guard(front)):
            machine = guarded(front, own, self._config.guard, session_id)
        elif failover is None and self._config.guard.is_on:
            machine = GuardedMachine(session, self._config.guard, session_id)
        guard = machine if isinstance(machine, GuardedInputs) else None
        guards.fill(guard, memories.guard)
        viewed = adapted = self._viewed(session_id, front, session, machine, request)
        if not front.is_relay:
            viewed = adapted = _adapted(front, msgspec.structs.replace(call, machine=viewed))
        relay = standalone(own)
        has_sides = failover is not None and build.has_sides(front)
        remembering = adapted if has_sides else relay or adapted
        return _Fronted(
            viewed,
            remembering.memory if isinstance(remembering, Remembering) else no_memory,
            relay.memory if has_sides and relay is not None else no_memory,
            relay,
            is_movable=own is session or relay is not None,
            guard=guard,
            front=adapted if isinstance(adapted, Noting) else None,
        )

    def _viewed(self, session_id: str, front: Front, session: Session, machine: Machine, request: Request) -> Machine:
        if self.wire_view is None:
            return machine
        policy = session.context.options.policy
        return self.wire_view.observe(
            session_id,
            front.name,
            machine,
            front.first_text(session_id) or "",
            owner=request.principal.id if request.principal else None,
            hide=policy.shown if policy is not None else None,
        )

    def _traced(self, machine: Machine, observer: SessionObserver) -> Machine:
        if not trace.is_on():
            return machine
        content = self._redact if self._config.log_content else None
        return trace.TracedMachine(machine, observer.log_fields, content=content)


def _session(session_id: str, front: Front, options: SessionOptions, parcel: Parcel | None) -> Session:
    if parcel is None:
        return Session(session_id, front.profile, options)
    return restored(parcel, options, front.profile)


def _adapted(front: Front, call: Call) -> Machine:
    try:
        return front.adapt(call)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the memory of the front is damaged: {error}") from error
