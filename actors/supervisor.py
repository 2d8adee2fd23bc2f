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

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors import lifecycle, messages, restart, trio
from actors.actor import Actor, Ref, as_ref
from actors.connections.close_codes import CRASHED, CloseCode
from actors.departures import Departures
from actors.lifecycle import Role
from actors.notifications import Notifications
from actors.record import SessionRecord, SessionState
from actors.upstream_choice import choose_position, has_to_leave, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.allocator import Allocator
    from actors.connector import Connector
    from actors.dispatcher import Dispatcher
    from actors.work import Pools

logger = logging.getLogger(__name__)

PAUSED: Final = "paused by an operator"
"""The cause of the loss if the upstream of a session is paused, and the session can dial no other one."""

NEVER_CLOSED: Final = (CloseCode.ABNORMAL_CLOSURE, "")
"""The end of a session that neither side has closed."""


class Supervisor(Actor):
    """The actor that starts sessions, connects their actors, and ends them.

    It receives `StartSession` and `Drain`, and answers `ListSessions`. If the supervisor fails while it handles a
    message of a session, the failure is logged and ends that session, never the supervisor.
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
        self._sessions: dict[str, SessionRecord] = {}
        self._departures = Departures(dispatcher, self._sessions, lambda: self._notifications.is_idle)
        self._notifications = Notifications(self, pools.hooks, self._departures.report)
        self._allocator = allocator
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
            lifecycle.Drain: self._departures.drain,
            lifecycle.ListSessions: self._list_sessions,
            lifecycle.FindActors: self._find_actors,
            lifecycle.EndOne: self._end_one,
            lifecycle.DrainOne: self._drain_one,
            lifecycle.LeaveUpstream: self._leave_upstream,
            lifecycle.LetDepart: self._departures.let_depart,
            lifecycle.CannotDepart: self._cannot_depart,
            lifecycle.ClientDeparted: self._client_departed,
        }

    def on_receive(self, message: Any) -> Any:
        """Handle a message by the rows of `_receive`. If this fails, end the session that the message is about."""
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
            session.running = ()
            self._forget_if_over(session)

    def on_left_over(self, message: Any) -> None:
        """Abort a connection that was accepted while the supervisor stopped."""
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
            trio.start_translator(session, self.ref, self._pools)
            trio.start_client(session, self.ref, message.connection, message.adopted or messages.ClientOpened())
        except Exception:
            message.connection.abort()  # no actor owns it, or its actor is stopped: harmless twice
            raise
        self._departures.admit(session)

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
        if not session.is_live:
            return
        self._observe(session, message)
        position = choose_position(session)
        if position is None:
            loss = restart.Loss(kind=restart.LossKind.NOT_DIALLED, cause=PAUSED)
            self._upstream_ended(lifecycle.UpstreamEnded(message.session_id, message.generation, loss))
            return
        session.history.position = position
        target = session.spec.dial_target(message.route, position)
        dial = lifecycle.Dial(target, position)
        self._observe(session, dial)
        trio.start_upstream(session, self.ref, message.generation, self._connector).tell(dial)

    # Part of a session ended.

    def _upstream_ended(self, message: lifecycle.UpstreamEnded) -> None:
        session = self._live(message.session_id)
        if session is None or (Role.UPSTREAM, message.generation) in session.ended:
            return  # one loss has one verdict: an abandoned upstream reports its close, too
        self._retire(session, message.generation)
        loss, verdict = judge(session, message.generation, message.loss)
        logger.info(
            "session %s: upstream %d lost: %s: %s",
            *(message.session_id, message.generation, loss, verdict.decision.value),
            extra=session.log_fields(message.generation),
        )
        lost = messages.UpstreamLost(message.generation, loss, verdict)
        self._observe(session, lost)
        session.tell(session.translator, lost)

    def _retire(self, session: SessionRecord, generation: int) -> None:
        session.ended |= {(Role.UPSTREAM, generation)}
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
        except Exception:  # an error of the observer must not end the call
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
        session.ended |= {trio.CLIENT}
        if session.is_live:
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
        session.note_stopped(message.key)
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
        session.note_stopped(message.key)
        if session.is_live and message.key not in session.ended:
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
        if session.is_live and session.spec.crash_frame:
            session.tell(session.client, messages.SendToClient(session.spec.crash_frame))
        self._end(session, *CRASHED)

    def _end(
        self, session: SessionRecord, code: int, reason: str, linger_s: float = 0.0, report_s: float = 0.0
    ) -> None:
        if not session.is_live:
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
        self._departures.report()
        if self._allocator is not None:
            self._allocator.note_end()
        session.spec.on_end()

    # A session departs to another process.

    def _cannot_depart(self, message: lifecycle.CannotDepart) -> None:
        session = self._live(message.session_id)
        if session is not None:
            self._departures.send_drain(session)

    def _client_departed(self, message: lifecycle.ClientDeparted) -> None:
        session = self._sessions.get(message.session_id)
        if session is None:
            return
        logger.info("session %s departed", message.session_id, extra=session.log_fields())
        session.has_departed = True
        session.ended |= {trio.CLIENT}
        self._end(session, *CRASHED)  # the client's actor has stopped: no close frame is sent
        self._forget_if_over(session)

    # Questions.

    def _live(self, session_id: str) -> SessionRecord | None:
        session = self._sessions.get(session_id)
        return session if session is not None and session.is_live else None

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
        moving = [it for it in self._sessions.values() if has_to_leave(it, message.position)]
        for session in moving:
            session.tell(session.translator, messages.MoveRequested())
        return len(moving)

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
