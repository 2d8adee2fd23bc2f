"""TranslatorActor: feeds a session machine, and performs its commands.

It knows no message of either vendor: the machine does.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, get_args

from actors import lifecycle, messages
from actors.actor import Actor, Ref, guarded
from actors.footprint import STEP_BYTES
from actors.timers import NamedTimers
from actors.work import Pools, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.dispatcher import Dispatcher
    from actors.footprint import Footprint, Holding
    from actors.machine import Carried, Machine

logger = logging.getLogger(__name__)

INPUTS: Final = frozenset(get_args(messages.Input))

UPSTREAM_INPUTS: Final = frozenset(kind for kind in INPUTS if "generation" in kind.__struct_fields__)
"""The inputs that come from an upstream, even from one that was replaced."""


AHEAD_S: Final = 5.0
"""The longest wait in seconds of a departing session for an upstream that another process dials in advance."""
DUE_AHEAD_S: Final = 0.5
"""The longest such wait at the end of a drain, in seconds."""
FRESH_S: Final = 10.0
"""After this many seconds the other process may have closed an upstream that it dialled in advance."""


class _Ahead:
    """An upstream that another process dials in advance."""

    def __init__(self, now_s: float) -> None:
        self.begun_s = now_s
        self.is_ready = False
        """Whether the other process has dialled. Another thread sets the flag."""

    def is_awaited(self, now_s: float, *, is_due: bool) -> bool:
        """Whether the session still waits for this dial.

        With `is_due` it waits for a shorter time, because the drain ends soon.
        """
        return not self.is_ready and now_s - self.begun_s < (DUE_AHEAD_S if is_due else AHEAD_S)


class _Departed:
    """The machine of a session that another process continues: it handles nothing."""

    def handle(self, _message: messages.Input, _now_s: float, /) -> tuple[messages.Command, ...]:
        return ()

    def describe(self) -> messages.Facts:
        return {}

    def held_bytes(self) -> int:
        return 0


DEPARTED: Final = _Departed()


class TranslatorActor(Actor):
    """The middle of a session, between the two legs.

    The machine may have closed an upstream, or know that it is lost. The translator counts and drops further inputs of
    such an upstream. So a dead upstream cannot disturb a session that continues with another upstream.
    """

    role = lifecycle.Role.TRANSLATOR

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        session_id: str,
        machine: Machine,
        supervisor: Ref,
        pools: Pools,
        perform: Callable[[Any], Any],
        read_late: Callable[[messages.UpstreamTextReceived], messages.LateReport | None],
        log_fields: Mapping[str, Any],
        footprint: Footprint | None = None,
        carried: Carried | None = None,
    ) -> None:
        super().__init__(dispatcher, session_id)
        self._machine = machine
        self._carried = carried
        self._supervisor = supervisor
        self._client: Ref | None = None
        self._upstreams: dict[int, Ref | None] = {}
        """The living generations: the upstream in use, and the standby if there is one.

        A generation that is not attached yet maps to None.
        """
        self._abandoned: frozenset[int] = lifecycle.NO_GENERATIONS
        """The generations that the machine abandoned. `UpstreamLost` is the only input of theirs that still counts."""
        self._stale_inputs = 0
        self._unsent_frames = 0
        self._route: str | None = None
        """The route of the newest upstream."""
        self._ahead: _Ahead | None = None
        self._timers = NamedTimers(dispatcher.timer, self._fire)
        self._read_late = read_late
        self._log_fields = log_fields
        self._generation = 0
        """The newest generation that was attached."""
        self._pools = pools
        self._work = Work(self, perform, self._handle)
        self._footprint = footprint
        self._holding: Holding | None = None
        """The record of the memory that the machine holds, once that is much."""

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines about the session, with the newest generation."""
        return {"session": self.session_id, **self._log_fields, "generation": self._generation}

    def on_stop(self) -> None:
        """Release timers and work, and notify the supervisor."""
        self._release()
        self._work.close()
        self._supervisor.offer(lifecycle.ActorStopped(self.session_id, self.role))

    def on_failure(self, *_failure: Any) -> None:
        """Release timers and work, and notify the supervisor, which ends the session."""
        self._release()
        self._work.close()
        self._supervisor.offer(lifecycle.ActorFailed(self.session_id, self.role))

    # Inputs.

    def _handle(self, message: messages.Input) -> None:
        for command in self._machine.handle(message, time.monotonic()):
            self._performs[type(command)](self, command)

    def _handle_of_upstream(self, message: Any) -> None:
        if message.generation in self._upstreams:
            self._handle(message)
        else:
            self._stale_inputs += 1
            self.on_left_over(message)

    def on_left_over(self, message: Any) -> None:
        """Report the usage in a message that the machine will not handle.

        The vendor charges its tokens all the same.
        """
        if isinstance(message, messages.UpstreamTextReceived):
            report = self._read_late(message)
            if report is not None and report.notification is not None:
                self._supervisor.offer(lifecycle.Notification(self.session_id, report.notification))

    def _handle_loss(self, message: messages.UpstreamLost) -> None:
        # The machine has no interest in the loss of an upstream that it has closed itself.
        generation = message.generation
        is_known = generation in self._upstreams or generation in self._abandoned
        self._upstreams.pop(generation, None)
        self._abandoned = self._abandoned - {generation} or lifecycle.NO_GENERATIONS
        if is_known:
            self._handle(message)
        else:
            self._stale_inputs += 1

    @guarded
    def _fire(self, name: str) -> None:
        self._handle(messages.TimerFired(name))

    # The memory that all sessions hold together.

    def _measure(self, _message: lifecycle.MeasureMemory) -> None:
        held_bytes = self._machine.held_bytes()
        if self._holding is None and self._footprint is not None and held_bytes >= STEP_BYTES:
            self._holding = self._footprint.holding(f"session {self.session_id}", self._evict)
        if self._holding is not None:
            self._holding.note(held_bytes)

    def _evict(self, had_bytes: int) -> None:
        # From any thread.
        self.dispatcher.call_soon(partial(self.run_guarded, partial(self._give_way, had_bytes)))

    def _give_way(self, had_bytes: int) -> None:
        held_bytes = self._machine.held_bytes()
        if self._holding is not None and held_bytes < had_bytes // 2:  # most of it has left in the meantime
            self._holding.stay(held_bytes)
        elif self._client is not None:
            self._client.offer(lifecycle.GiveWay())

    # From the supervisor.

    def _attach_client(self, message: lifecycle.AttachClient) -> None:
        self._client = message.client

    def _attach_upstream(self, message: lifecycle.AttachUpstream) -> None:
        self._generation = message.generation
        # The machine may have closed or abandoned the generation before its actor began.
        if message.generation in self._upstreams:
            self._upstreams[message.generation] = message.upstream

    def _ask_to_depart(self, message: lifecycle.AskToDepart) -> None:
        carried = self._carried
        if self._client is None or carried is None:
            return
        if not (message.is_due or carried.can_move) or self._waits_for_dial(message, carried, self._client):
            self._client.offer(lifecycle.DepartLater())
            return
        try:
            value = carried.snapshot()
        except ValueError as error:
            logger.info("session %s stays: %s", self.session_id, error, extra=self.log_fields)
            self._stay(self._client)
            return
        except Exception:  # a fault of the value must not end the call
            logger.exception("session %s stays: it cannot be written", self.session_id, extra=self.log_fields)
            self._stay(self._client)
            return
        # Input that still arrives belongs to the other process, and none of it to this machine.
        self._machine = DEPARTED
        self._release()
        self._client.offer(lifecycle.DepartNow(value))

    def _stay(self, client: Ref) -> None:
        self._supervisor.offer(lifecycle.CannotDepart(self.session_id))
        client.offer(lifecycle.DepartLater(is_never=True))

    def _waits_for_dial(self, message: lifecycle.AskToDepart, carried: Carried, client: Ref) -> bool:
        """Make the process that will continue the session dial an upstream in advance.

        Return whether the session has to wait for this dial.
        """
        now_s = time.monotonic()
        if self._ahead is not None and now_s - self._ahead.begun_s < FRESH_S:
            return self._ahead.is_awaited(now_s, is_due=message.is_due)
        if message.announce is None or self._route is None:
            return False
        try:
            facts = carried.announcement()
        except ValueError:  # the whole session cannot be written either
            return False
        ahead = self._ahead = _Ahead(now_s)

        def on_ready() -> None:
            ahead.is_ready = True
            client.offer(lifecycle.AskAgain())

        message.announce(lifecycle.Announcement(self.session_id, facts, self._route, on_ready))
        return True

    def _describe(self, _message: lifecycle.Describe) -> messages.Facts:
        return {
            "role": self.role.value,
            "generations": sorted(generation for generation, ref in self._upstreams.items() if ref is not None),
            "stale_inputs": self._stale_inputs,
            "unsent_frames": self._unsent_frames,
            "work": self._work.keys,
            "work_dropped": self._work.dropped,
            "timers": {name: round(left_s, 3) for name, left_s in self._timers.left_s().items()},
            "held_bytes": self._machine.held_bytes(),
            **self._machine.describe(),
        }

    # Commands.

    def _send_to_client(self, command: messages.SendToClient) -> None:
        # A client actor that has stopped is no error here: the supervisor ends the session.
        if self._client is None or not self._client.hand_over(command, self.dispatcher):
            self._unsent_frames += 1

    def _probe_client(self, command: messages.ProbeClient) -> None:
        if self._client is not None:
            self._client.offer(command)

    def _send_to_upstream(self, command: messages.SendToUpstream) -> None:
        upstream = self._upstreams.get(command.generation)
        if upstream is None or not upstream.hand_over(command, self.dispatcher):
            self._unsent_frames += 1

    def _open_upstream(self, command: messages.OpenUpstream) -> None:
        self._upstreams[command.generation] = None
        self._route = command.route
        requested = lifecycle.UpstreamRequested(
            self.session_id, command.generation, command.route, command.delay_s, command.is_standby
        )
        self._supervisor.offer(requested)

    def _close_upstream(self, command: messages.CloseUpstream) -> None:
        # Forget the upstream before the supervisor closes it, because its inputs that are on their way are stale from
        # now on.
        self._upstreams.pop(command.generation, None)
        self._abandoned = self._abandoned - {command.generation} or lifecycle.NO_GENERATIONS
        self._supervisor.offer(lifecycle.UpstreamReleased(self.session_id, command.generation))

    def _abandon_upstream(self, command: messages.AbandonUpstream) -> None:
        if command.generation not in self._upstreams:
            return  # it ended by itself, and `UpstreamLost` is on its way
        del self._upstreams[command.generation]
        self._abandoned |= {command.generation}
        self._supervisor.offer(lifecycle.UpstreamEnded(self.session_id, command.generation, command.loss))

    def _reset_restart_budget(self, _command: messages.ResetRestartBudget) -> None:
        self._supervisor.offer(lifecycle.TurnCompleted(self.session_id))

    def _start_timer(self, command: messages.StartTimer) -> None:
        self._timers.restart(command.name, command.delay_s)

    def _cancel_timer(self, command: messages.CancelTimer) -> None:
        self._timers.cancel(command.name)

    def _start_work(self, command: messages.StartWork) -> None:
        self._work.start(command, self._pools.setup if command.is_preparation else self._pools.tools)

    def _cancel_work(self, command: messages.CancelWork) -> None:
        self._work.cancel(command.key)

    def _notify(self, command: messages.Notify) -> None:
        self._supervisor.offer(lifecycle.Notification(self.session_id, command.notification))

    def _end_session(self, command: messages.EndSession) -> None:
        # Release the timers now, although the actor lives until the supervisor stops it: a machine that has ended gets
        # no timer.
        self._release()
        ending = (command.code, command.reason, command.linger_s, command.report_s)
        self._supervisor.offer(lifecycle.SessionEnding(self.session_id, *ending))

    def _log(self, command: messages.Log) -> None:
        logger.log(command.level, "session %s: %s", self.session_id, command.text, extra=self.log_fields)

    def _release(self) -> None:
        if self._holding is not None:
            self._holding.release()
        self._work.discard()
        self._timers.discard()

    _performs: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        messages.SendToClient: _send_to_client,
        messages.ProbeClient: _probe_client,
        messages.SendToUpstream: _send_to_upstream,
        messages.OpenUpstream: _open_upstream,
        messages.CloseUpstream: _close_upstream,
        messages.AbandonUpstream: _abandon_upstream,
        messages.ResetRestartBudget: _reset_restart_budget,
        messages.StartTimer: _start_timer,
        messages.CancelTimer: _cancel_timer,
        messages.StartWork: _start_work,
        messages.CancelWork: _cancel_work,
        messages.Notify: _notify,
        messages.EndSession: _end_session,
        messages.Log: _log,
    }
    receives: ClassVar = {
        **dict.fromkeys(INPUTS, _handle),
        **dict.fromkeys(UPSTREAM_INPUTS, _handle_of_upstream),
        messages.UpstreamLost: _handle_loss,
        lifecycle.MeasureMemory: _measure,
        lifecycle.AttachClient: _attach_client,
        lifecycle.AttachUpstream: _attach_upstream,
        lifecycle.Describe: _describe,
        lifecycle.AskToDepart: _ask_to_depart,
    }
