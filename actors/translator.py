"""TranslatorActor: feeds a session machine, and performs its commands."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, get_args

import pykka

from actors import messages
from actors.actor import Actor, Ref
from actors.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.dispatcher import Dispatcher, Timer
    from actors.pool import Pool

logger = logging.getLogger(__name__)

INPUTS: Final = frozenset(get_args(messages.Input))
UPSTREAM_INPUTS: Final = frozenset(kind for kind in INPUTS if "generation" in kind.__struct_fields__)


class Machine(Protocol):
    """A session as a state machine: pure, with no thread, socket, clock or environment of its own."""

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Take an input; what is to be done about it, in order. An exception is a bug, and ends the session.

        `now_s` is the time on the dispatcher's clock, which never goes back: the machine has none of its own.
        """

    def describe(self) -> messages.Facts:
        """A few facts about it, for people and tests."""


class TranslatorActor(Actor):
    """The middle of a session. It understands nothing itself: the machine does.

    What an upstream says after the machine has done with it, or after its loss was told, is counted and dropped here,
    so that nothing of a dead upstream leaks into the next one's session.
    """

    role = "translator"

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        session_id: str,
        machine: Machine,
        supervisor: Ref,
        workers: Pool,
        perform: Callable[[Any], Any],
    ) -> None:
        super().__init__(dispatcher)
        self._session_id = session_id
        self._machine = machine
        self._supervisor = supervisor
        self._client: Ref | None = None
        self._upstreams: dict[int, Ref] = {}
        """The living generations: the one in use, and where one is being got ready, the next."""
        self._abandoned: set[int] = set()
        """Those that the machine gave up: of them it is only told that they are lost."""
        self._stale = 0
        self._unsent = 0
        self._timers: dict[str, Timer] = {}
        self._work = Work(self, workers, perform, self._handle)
        self._perform: dict[type, Callable[[Any], None]] = {
            messages.SendToClient: self._send_to_client,
            messages.SendToUpstream: self._send_to_upstream,
            messages.OpenUpstream: self._open_upstream,
            messages.CloseUpstream: self._close_upstream,
            messages.AbandonUpstream: self._abandon_upstream,
            messages.RefillBudget: self._refill_budget,
            messages.StartTimer: self._start_timer,
            messages.CancelTimer: self._cancel_timer,
            messages.StartWork: self._work.start,
            messages.CancelWork: lambda command: self._work.cancel(command.key),
            messages.EndSession: self._end_session,
            messages.Log: self._log,
        }

    def on_receive(self, message: Any) -> Any:
        """Hand an input to the machine, or be plugged in."""
        if type(message) in INPUTS:
            self._handle(message)
            return None
        match message:
            case messages.PlugInClient(client):
                self._client = client
            case messages.PlugInUpstream(upstream, generation):
                self._upstreams[generation] = upstream
            case messages.Describe():
                generations = sorted(self._upstreams)
                work = {"work": self._work.keys, "work_dropped": self._work.dropped}
                return {"generations": generations, "stale": self._stale, **work, **self._machine.describe()}
            case _:
                return super().on_receive(message)
        return None

    def on_stop(self) -> None:
        """Tell the supervisor."""
        self._let_go()
        self._supervisor.tell(messages.ActorStopped(self._session_id, self.role, 0))

    def on_failure(self, *_failure: Any) -> None:
        """Tell the supervisor, which ends the session."""
        self._let_go()
        self._supervisor.tell(messages.ActorFailed(self._session_id, self.role, 0))

    def _handle(self, message: messages.Input) -> None:
        if type(message) in UPSTREAM_INPUTS and not self._is_live(message):
            self._stale += 1
            return
        for command in self._machine.handle(message, time.monotonic()):
            self._perform[type(command)](command)

    # Commands.

    def _send_to_client(self, command: messages.SendToClient) -> None:
        self._tell(self._client, command)

    def _tell(self, ref: Ref | None, command: messages.Message) -> None:
        try:
            if ref is not None:
                ref.tell(command)
                return
        except pykka.ActorDeadError:
            pass
        self._unsent += 1

    def _is_live(self, message: Any) -> bool:
        generation = message.generation
        if not isinstance(message, messages.UpstreamLost):
            return generation in self._upstreams
        is_known = generation in self._upstreams or generation in self._abandoned
        self._upstreams.pop(generation, None)
        self._abandoned.discard(generation)
        return is_known

    def _send_to_upstream(self, command: messages.SendToUpstream) -> None:
        upstream = self._upstreams.get(command.generation)
        self._tell(upstream, command)

    def _open_upstream(self, command: messages.OpenUpstream) -> None:
        wanted = messages.UpstreamWanted(
            self._session_id, command.generation, command.route, command.delay_s, command.is_spare
        )
        self._supervisor.tell(wanted)

    def _close_upstream(self, command: messages.CloseUpstream) -> None:
        self._upstreams.pop(command.generation, None)
        self._abandoned.discard(command.generation)
        self._supervisor.tell(messages.UpstreamUnwanted(self._session_id, command.generation))

    def _abandon_upstream(self, command: messages.AbandonUpstream) -> None:
        if self._upstreams.pop(command.generation, None) is None:
            return  # its loss is on its way already
        self._abandoned.add(command.generation)
        self._supervisor.tell(messages.UpstreamEnded(self._session_id, command.generation, command.loss))

    def _refill_budget(self, _command: messages.RefillBudget) -> None:
        self._supervisor.tell(messages.TurnCompleted(self._session_id))

    def _start_timer(self, command: messages.StartTimer) -> None:
        timer = self._timers.get(command.name)
        if timer is None:
            name = command.name
            fire = self.guarded(lambda: self._handle(messages.TimerFired(name)))
            self._timers[name] = self.dispatcher.call_later(command.delay_s, fire)
        else:
            timer.restart(command.delay_s)

    def _cancel_timer(self, command: messages.CancelTimer) -> None:
        timer = self._timers.get(command.name)
        if timer is not None:
            timer.cancel()

    def _let_go(self) -> None:
        self._work.discard()
        for timer in self._timers.values():
            timer.discard()
        self._timers.clear()

    def _end_session(self, command: messages.EndSession) -> None:
        self._let_go()
        self._supervisor.tell(messages.SessionEnding(self._session_id, command.code, command.reason))

    def _log(self, command: messages.Log) -> None:
        logger.log(command.level, "session %s: %s", self._session_id, command.text)
