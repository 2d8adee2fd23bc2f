"""The Supervisor: the switchboard of one process.

It starts the trio of a session, hands each actor the references of the others, and receives every ending and failure.
Frames do not pass it: they go from actor to actor. It knows no message of either vendor.

The trio lives and dies together. An ending reaches all three by the rows of `_receive`:

    the client is gone            the upstream is closed, the translator stopped
    an upstream is lost           the policy decides (`restart`), and the session machine gets the verdict: it opens the
                                  next generation, or sends its last message
    the machine ends the session  the client is closed with its code, the upstream with 1000
    an actor failed               the client gets `crash_frame` and close code 1011; the other actors are stopped
"""

from __future__ import annotations

import functools
import logging
import math
import random
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors import leaving, lifecycle, messages, restart
from actors.actor import Actor, Ref
from actors.client import ClientActor
from actors.connections.close_codes import CRASHED, CloseCode
from actors.lifecycle import Role
from actors.notifications import Notifications
from actors.record import SessionRecord, SessionState
from actors.translator import TranslatorActor
from actors.upstream import UpstreamActor

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from actors.allocator import Allocator
    from actors.connections.base import Connection
    from actors.connector import Connector
    from actors.dispatcher import Dispatcher
    from actors.work import Pools

logger = logging.getLogger(__name__)

PAUSED: Final = "paused by an operator"
"""The cause of a loss, where each upstream is paused."""

SPREAD_S: Final = 1.0
"""The time in seconds over which sessions begin to depart, so that their dials are spread."""

DUE_SHARE: Final = 0.9
"""The share of the drain after which a session departs in the middle of a turn."""

NEVER_CLOSED: Final = (CloseCode.ABNORMAL_CLOSURE, "")
"""The end of a session that neither side has closed."""


class Supervisor(Actor):
    """Starts sessions, connects their actors, and ends them.

    It receives `StartSession` and `Drain`, and answers `ListSessions`. When it fails itself at a message of a session,
    the failure is logged and ends that session, never the supervisor.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        dispatchers: Sequence[Dispatcher],
        connector: Connector,
        pools: Pools,
        allocator: Allocator | None = None,
    ) -> None:
        super().__init__(dispatcher)
        self._dispatchers = dispatchers
        self._connector = connector
        self._pools = pools
        self._notifications = Notifications(self, pools.hooks, self._report_drained)
        self._allocator = allocator
        self._sessions: dict[str, SessionRecord] = {}
        self._deliver: Callable[[lifecycle.Departure], None] | None = None
        """The function that takes departing sessions; None where a drain ends them."""
        self._drained: threading.Event | None = None
        self._drain_until_s = math.inf
        self._receive: dict[type, Callable[[Any], Any]] = {
            lifecycle.StartSession: self._start_session,
            lifecycle.UpstreamRequested: self._upstream_requested,
            lifecycle.UpstreamReleased: self._upstream_released,
            lifecycle.UpstreamEnded: self._upstream_ended,
            lifecycle.TurnCompleted: self._turn_completed,
            lifecycle.Notification: self._pass_on_notification,
            lifecycle.ClientEnded: self._client_ended,
            lifecycle.SessionEnding: self._session_ending,
            lifecycle.ActorFailed: self._actor_failed,
            lifecycle.ActorStopped: self._actor_stopped,
            lifecycle.Drain: self._drain,
            lifecycle.ListSessions: self._list_sessions,
            lifecycle.FindActors: self._find_actors,
            lifecycle.EndOne: self._end_one,
            lifecycle.DrainOne: self._drain_one,
            lifecycle.LeaveUpstream: self._leave_upstream,
            lifecycle.LetDepart: self._let_depart,
            lifecycle.CannotDepart: self._cannot_depart,
            lifecycle.ClientDeparted: self._client_departed,
        }

    def on_receive(self, message: Any) -> Any:
        """Handle a message by the table."""
        handler = self._receive.get(type(message))
        if handler is None:
            return super().on_receive(message)
        try:
            return handler(message)
        except Exception:
            logger.exception("the supervisor failed at %s", type(message).__name__)
            session = self._sessions.get(getattr(message, "session_id", ""))
            if session is not None:
                self._crash(session)
                self._forget_if_over(session)
            return None

    def on_stop(self) -> None:
        """Stop the actors of sessions that are left, because the supervisor no longer receives their ends."""
        for session in list(self._sessions.values()):
            logger.warning(
                "session %s is cut off: it did not end in time", session.spec.session_id, extra=session.log_fields()
            )
            for ref in (session.client, session.translator, *session.upstreams.values()):
                if ref is not None:
                    ref.stop(block=False)
            session.running.clear()
            self._forget_if_over(session)

    def on_left_over(self, message: Any) -> None:
        """Abort a connection that was accepted as the supervisor stopped."""
        if isinstance(message, lifecycle.StartSession):
            message.connection.abort()

    # A session begins.

    def _start_session(self, message: lifecycle.StartSession) -> None:
        spec = message.spec
        session = SessionRecord(spec, self._least_loaded())
        self._sessions[spec.session_id] = session
        if message.adopted is None:
            logger.info("session %s started", spec.session_id, extra=session.log_fields())
            self._notify(session, lifecycle.SessionStarted(spec.session_id))
        else:
            logger.info("session %s adopted", spec.session_id, extra=session.log_fields())
            self._notify(session, lifecycle.SessionAdopted(spec.session_id))
        try:
            self._start_translator(session)
            self._start_client(session, message.connection, message.adopted or messages.ClientOpened())
        except Exception:
            message.connection.abort()  # no actor owns it, or its actor is stopped: harmless twice
            raise
        if self._drained is not None:  # it was accepted as the drain began
            if self._may_depart(session):
                self._send_off(session, 0.0)
            else:
                self._send_drain(session)

    def _start_translator(self, session: SessionRecord) -> None:
        spec = session.spec
        ref = TranslatorActor.start(
            session.dispatcher,
            session_id=spec.session_id,
            machine=spec.machine,
            supervisor=self.ref,
            pools=self._pools,
            perform=spec.perform,
            read_late=spec.read_late,
            log_fields=spec.log_fields,
            footprint=spec.footprint,
            carried=spec.carried,
        )
        session.running.add((Role.TRANSLATOR, 0))
        session.translator = as_ref(ref)

    def _start_client(self, session: SessionRecord, connection: Connection, first: messages.Input) -> None:
        spec = session.spec
        ref = ClientActor.start(
            session.dispatcher,
            session_id=spec.session_id,
            connection=connection,
            supervisor=self.ref,
            crash_frame=spec.crash_frame,
            log_fields=session.log_fields(),
            busy_frame=spec.busy_frame,
            footprint=spec.footprint,
            rates=spec.client_rates,
            first=first,
        )
        session.running.add((Role.CLIENT, 0))
        session.client = as_ref(ref)
        # In this order: once the client has a translator it reads, and the answer to its first message needs a client.
        session.tell(session.translator, lifecycle.AttachClient(session.client))
        if session.translator is not None:
            session.client.tell(lifecycle.AttachTranslator(session.translator))

    def _upstream_requested(self, message: lifecycle.UpstreamRequested) -> None:
        session = self._live(message.session_id)
        if session is None or (Role.UPSTREAM, message.generation) in session.ended:
            return  # the session ended, or released the upstream, before the delay was over
        session.generation = max(session.generation, message.generation)
        if message.is_standby:
            session.standbys |= {message.generation}
        if message.delay_s:
            due = msgspec.structs.replace(message, delay_s=0.0)
            self.dispatcher.call_later(message.delay_s, lambda: session.tell(self.ref, due))
        else:
            self._open_upstream(session, message)

    def _open_upstream(self, session: SessionRecord, message: lifecycle.UpstreamRequested) -> None:
        if session.state is SessionState.ENDING:
            return
        self._observe(session, message)
        position = self._choose_position(session)
        if position is None:
            loss = restart.Loss(kind=restart.LossKind.NOT_DIALLED, cause=PAUSED)
            self._upstream_ended(lifecycle.UpstreamEnded(message.session_id, message.generation, loss))
            return
        session.history.position = position
        target = session.spec.dial_target(message.route, position)
        dial = lifecycle.Dial(target, position)
        self._observe(session, dial)
        upstream = self._start_upstream(session, message.generation)
        session.tell(session.translator, lifecycle.AttachUpstream(upstream, message.generation))
        upstream.tell(dial)

    @staticmethod
    def _choose_position(session: SessionRecord) -> int | None:
        """Return the position of the upstream to dial; None where each upstream is paused, or has refused for good."""
        spec, history = session.spec, session.history
        is_chosen, history.is_chosen = history.is_chosen, False
        if spec.is_paused(history.position):
            positions = restart.positions_from(0, history, spec.upstreams, spec.is_paused)
        elif is_chosen:
            return history.position
        else:
            # An upstream that refused is dialled once more where the machine asks for it.
            others = restart.positions_from(history.position, history, spec.upstreams, spec.is_paused)
            positions = [history.position, *(it for it in others if it != history.position)]
        return spec.choose(positions, None) if positions else None

    def _start_upstream(self, session: SessionRecord, generation: int) -> Ref:
        assert session.translator is not None and session.client is not None  # noqa: S101, PT018 - it asked for it
        ref = UpstreamActor.start(
            session.dispatcher,
            session_id=session.spec.session_id,
            generation=generation,
            supervisor=self.ref,
            translator=session.translator,
            client=session.client,
            connector=self._connector,
            dialler=session.spec.dialler,
            read_late=session.spec.read_late,
            log_fields=session.log_fields(generation),
        )
        session.running.add((Role.UPSTREAM, generation))
        session.upstreams[generation] = as_ref(ref)
        return session.upstreams[generation]

    # Part of a session ended.

    def _upstream_ended(self, message: lifecycle.UpstreamEnded) -> None:
        session = self._live(message.session_id)
        if session is None or (Role.UPSTREAM, message.generation) in session.ended:
            return  # one loss has one verdict: an abandoned upstream reports its close, too
        self._retire(session, message.generation)
        is_in_use = message.generation not in session.standbys
        loss = message.loss
        if not loss.is_fatal and session.spec.is_fatal(loss.reason):
            loss = msgspec.structs.replace(loss, is_fatal=True)
        has_other_key = session.spec.note_loss(message.generation, loss)
        verdict = self._verdict(session, loss, is_in_use=is_in_use, has_other_key=has_other_key)
        if is_in_use:
            session.standbys = lifecycle.NO_GENERATIONS  # a standby takes over: from now on the policy judges its loss
        logger.info(
            "session %s: upstream %d lost: %s: %s",
            *(message.session_id, message.generation, loss, verdict.decision.value),
            extra=session.log_fields(message.generation),
        )
        lost = messages.UpstreamLost(message.generation, loss, verdict)
        self._observe(session, lost)
        session.tell(session.translator, lost)

    def _verdict(
        self, session: SessionRecord, loss: restart.Loss, *, is_in_use: bool, has_other_key: bool
    ) -> restart.Verdict:
        # A standby costs no restart of the budget: the upstream in use still serves the session.
        if not is_in_use:
            return restart.Verdict(decision=restart.Decision.RESTART, position=session.history.position)
        return restart.decide(
            loss,
            session.history,
            restarts=session.spec.restarts,
            upstreams=session.spec.upstreams,
            is_draining=session.is_draining,
            is_paused=session.spec.is_paused,
            choose=session.spec.choose,
            has_other_key=has_other_key,
            jitter=random.uniform(-1, 1),  # noqa: S311 - it need not be hard to guess
        )

    def _retire(self, session: SessionRecord, generation: int) -> None:
        session.ended.add((Role.UPSTREAM, generation))
        upstream = session.upstreams.pop(generation, None)
        session.tell(upstream, lifecycle.CloseConnection(CloseCode.NORMAL_CLOSURE, ""))

    def _upstream_released(self, message: lifecycle.UpstreamReleased) -> None:
        session = self._live(message.session_id)
        if session is not None:
            self._retire(session, message.generation)
            session.standbys = lifecycle.NO_GENERATIONS  # one of two upstreams is left: it is in use

    def _turn_completed(self, message: lifecycle.TurnCompleted) -> None:
        session = self._live(message.session_id)
        if session is not None:
            session.history.turn_completed()

    def _pass_on_notification(self, message: lifecycle.Notification) -> None:
        session = self._sessions.get(message.session_id)
        if session is not None:
            self._notify(session, message.notification)

    def _notify(self, session: SessionRecord, notification: Any) -> None:
        self._observe(session, notification)
        spec = session.spec
        if spec.deliver is not None and isinstance(notification, spec.delivered):
            self._notifications.add(session.log_fields(), spec.deliver, notification, spec.deliver_timeout_s)

    def _observe(self, session: SessionRecord, event: Any) -> None:
        try:
            session.spec.observe(event)
        except Exception:  # a fault of what is counted must not end the call
            logger.exception(
                "session %s: its observer failed at %s",
                *(session.spec.session_id, type(event).__name__),
                extra=session.log_fields(),
            )

    def _client_ended(self, message: lifecycle.ClientEnded) -> None:
        session = self._sessions.get(message.session_id)
        if session is None:
            return
        logger.info(
            "session %s: client %s (%d)",
            *(message.session_id, message.closed.ending.value, message.closed.code),
            extra=session.log_fields(),
        )
        self._observe(session, message)
        session.ended.add((Role.CLIENT, 0))
        if session.state is SessionState.LIVE:
            session.ending = (message.closed.code, message.closed.reason)
        # The machine ends the session, and not this method: its last messages to the upstream go before the close.
        session.tell(session.translator, messages.ClientClosed(message.closed))

    def _session_ending(self, message: lifecycle.SessionEnding) -> None:
        session = self._sessions.get(message.session_id)
        if session is not None:
            self._end(session, message.code, message.reason, message.linger_s, message.report_s)

    def _actor_failed(self, message: lifecycle.ActorFailed) -> None:
        session = self._sessions.get(message.session_id)
        if session is None:
            return
        session.running.discard(message.key)
        logger.error("session %s: its %s failed", message.session_id, message.role.value, extra=session.log_fields())
        self._observe(session, message)
        if message.role is Role.UPSTREAM:
            self._upstream_failed(session, message.generation)
        else:
            self._crash(session)
        self._forget_if_over(session)

    def _upstream_failed(self, session: SessionRecord, generation: int) -> None:
        loss = restart.Loss(kind=restart.LossKind.FAILED, cause="failed on our side")
        self._upstream_ended(lifecycle.UpstreamEnded(session.spec.session_id, generation, loss))

    def _actor_stopped(self, message: lifecycle.ActorStopped) -> None:
        session = self._sessions.get(message.session_id)
        if session is None:
            return
        session.running.discard(message.key)
        if session.state is SessionState.LIVE and message.key not in session.ended:
            self._stopped_unexpectedly(session, message)
        self._forget_if_over(session)

    def _stopped_unexpectedly(self, session: SessionRecord, message: lifecycle.ActorStopped) -> None:
        # Code outside of the session stopped the actor. The trio dies together; an upstream alone counts as lost.
        if message.role is Role.UPSTREAM:
            self._upstream_failed(session, message.generation)
        else:
            self._crash(session)

    # A session ends.

    def _crash(self, session: SessionRecord) -> None:
        if session.state is SessionState.LIVE and session.spec.crash_frame:
            session.tell(session.client, messages.SendToClient(session.spec.crash_frame))
        self._end(session, *CRASHED)

    def _end(
        self, session: SessionRecord, code: int, reason: str, linger_s: float = 0.0, report_s: float = 0.0
    ) -> None:
        if session.state is SessionState.ENDING:
            return
        session.state = SessionState.ENDING
        session.ending = session.ending or (code, reason)  # a client that is gone gave its own code
        session.tell(session.client, lifecycle.CloseConnection(code, reason, linger_s))
        for upstream in session.upstreams.values():
            session.tell(upstream, lifecycle.CloseConnection(CloseCode.NORMAL_CLOSURE, "", report_s=report_s))
        if session.translator is not None:
            session.translator.stop(block=False)

    def _forget_if_over(self, session: SessionRecord) -> None:
        if session.running:
            return
        if self._sessions.pop(session.spec.session_id, None) is None:
            return
        info = session.info()
        if session.has_departed:
            self._notify(session, lifecycle.SessionMoved(info.session_id, info.age_s, info.restarts))
        else:
            ending = session.ending or NEVER_CLOSED
            self._notify(session, lifecycle.SessionEnded(info.session_id, info.age_s, *ending, info.restarts))
        self._report_drained()
        if self._allocator is not None:
            self._allocator.note_end()
        session.spec.on_end()

    # The process ends.

    def _drain(self, message: lifecycle.Drain) -> None:
        self._drained = message.drained
        self._drain_until_s = min(self._drain_until_s, time.monotonic() + message.deadline_s)
        sessions = self._send_off_all()
        random.shuffle(sessions)  # not the oldest first: its callers came together, and would go together
        left_s = self._drain_until_s - time.monotonic()
        delays_s = leaving.delays_s(len(sessions), max(0.0, left_s), random.random)
        for session, delay_s in zip(sessions, delays_s, strict=True):
            self._send_drain(session, keeps_idle=delay_s > 0)
            if delay_s > 0:
                self.dispatcher.call_later(delay_s, functools.partial(self._send_drain, session))
        self._report_drained()

    def _send_drain(self, session: SessionRecord, *, keeps_idle: bool = False) -> None:
        left_s = max(0.0, self._drain_until_s - time.monotonic())
        session.is_draining = True
        session.tell(session.translator, messages.DrainBegan(left_s, keeps_idle))

    # A session departs to another process.

    def _let_depart(self, message: lifecycle.LetDepart) -> None:
        self._deliver = message.deliver

    def _cannot_depart(self, message: lifecycle.CannotDepart) -> None:
        session = self._live(message.session_id)
        if session is not None:
            self._send_drain(session)

    def _client_departed(self, message: lifecycle.ClientDeparted) -> None:
        session = self._sessions.get(message.session_id)
        if session is None:
            return
        logger.info("session %s departed", message.session_id, extra=session.log_fields())
        session.has_departed = True
        session.ended.add((Role.CLIENT, 0))
        self._end(session, *CRASHED)  # the client's actor has stopped: no close frame is sent
        self._forget_if_over(session)

    def _may_depart(self, session: SessionRecord) -> bool:
        return self._deliver is not None and session.spec.carried is not None and session.state is SessionState.LIVE

    def _send_off_all(self) -> list[SessionRecord]:
        """Let all sessions depart that may, spread over some time. Return the others."""
        sessions = list(self._sessions.values())
        departing = [it for it in sessions if self._may_depart(it)]
        spread_s = min(SPREAD_S, (self._drain_until_s - time.monotonic()) / 4)
        for place, session in enumerate(departing):
            self._send_off(session, spread_s * place / len(departing))
        return [it for it in sessions if not self._may_depart(it)]

    def _send_off(self, session: SessionRecord, delay_s: float) -> None:
        """Let a session depart from `delay_s` on, and at the latest shortly before the end of the drain."""
        assert self._deliver is not None  # noqa: S101 - the caller looked
        depart = lifecycle.Depart(self._deliver)
        due = msgspec.structs.replace(depart, is_due=True)
        left_s = max(0.0, self._drain_until_s - time.monotonic())
        self.dispatcher.call_later(min(delay_s, left_s * DUE_SHARE), lambda: session.tell(session.client, depart))
        self.dispatcher.call_later(left_s * DUE_SHARE, lambda: session.tell(session.client, due))

    def _report_drained(self) -> None:
        # Notifications too: the last of a session is delivered after its end.
        if self._drained is not None and not self._sessions and self._notifications.is_idle:
            self._drained.set()

    # Questions.

    def _live(self, session_id: str) -> SessionRecord | None:
        session = self._sessions.get(session_id)
        return session if session is not None and session.state is SessionState.LIVE else None

    def _list_sessions(self, _message: lifecycle.ListSessions) -> list[lifecycle.SessionInfo]:
        return [session.info() for session in self._sessions.values()]

    def _end_one(self, message: lifecycle.EndOne) -> bool:
        session = self._live(message.session_id)
        if session is None:
            return False
        logger.info("session %s: an operator ends it", message.session_id, extra=session.log_fields())
        session.tell(session.translator, messages.EndRequested())
        return True

    def _drain_one(self, message: lifecycle.DrainOne) -> bool:
        session = self._live(message.session_id)
        if session is None:
            return False
        logger.info("session %s: an operator drains it", message.session_id, extra=session.log_fields())
        session.is_draining = True
        session.tell(session.translator, messages.DrainBegan(message.deadline_s))
        return True

    def _leave_upstream(self, message: lifecycle.LeaveUpstream) -> int:
        moving = [it for it in self._sessions.values() if self._has_to_leave(it, message.position)]
        for session in moving:
            session.tell(session.translator, messages.MoveRequested())
        return len(moving)

    def _has_to_leave(self, session: SessionRecord, position: int) -> bool:
        is_there = session.state is SessionState.LIVE and session.history.position == position
        spec = session.spec
        if not is_there or session.is_draining or not spec.is_paused(position):  # a draining session ends where it is
            return False
        return bool(restart.positions_from(0, session.history, spec.upstreams, spec.is_paused))

    def _find_actors(self, message: lifecycle.FindActors) -> dict[str, Ref]:
        session = self._sessions.get(message.session_id)
        if session is None:
            return {}
        legs = {Role.CLIENT.value: session.client, Role.TRANSLATOR.value: session.translator}
        upstreams = {f"{Role.UPSTREAM.value} {generation}": ref for generation, ref in session.upstreams.items()}
        return {name: ref for name, ref in {**legs, **upstreams}.items() if ref is not None}

    def _least_loaded(self) -> Dispatcher:
        loads = dict.fromkeys(self._dispatchers, 0)
        if len(loads) > 1:
            for session in self._sessions.values():
                loads[session.dispatcher] += 1
        return min(loads, key=loads.__getitem__)

    @property
    def ref(self) -> Ref:
        """The supervisor's own reference."""
        return as_ref(self.actor_ref)


def as_ref(ref: Any) -> Ref:
    """Narrow the result of `Actor.start`, which pykka types as its own, to our reference."""
    assert isinstance(ref, Ref)  # noqa: S101 - for the type checker
    return ref
