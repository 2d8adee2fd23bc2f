"""The parts that one simulated session shares: its ids, outbox, script and session object. Pure."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.simulator.commands import (
    CancelTimer,
    Close,
    Command,
    Hang,
    Pause,
    Reset,
    Send,
    SendRaw,
    Service,
    StartTimer,
)
from router.simulator.errors import RequestError, error_body
from router.simulator.faults import POINTS, Fault, FaultAction, FaultPlan, FaultPoint, Moment
from router.simulator.history import Output, Say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from router.simulator.config import SimulatorConfig
    from router.simulator.conversation import Conversation

Answer = str | Output | list[str | Output]
"""A scripted answer: a text, a function call, or several of both in one response."""

_KEPT_ANSWERS: Final = 16
"""The number of used scripted answers that are kept, because a later session may have to continue one of them."""


class Ids:
    """Ids from a counter: unique over all sessions of a simulator, at most 32 characters long."""

    def __init__(self, session_number: int) -> None:
        self._session_number = session_number
        self._counter = itertools.count(1)

    def next(self, prefix: str) -> str:
        """Return a new id, such as `item_000001x00000007`."""
        return f"{prefix}_{self._session_number:06d}x{next(self._counter):08d}"


class Script:
    """The transcripts and answers that a test scripts, in order.

    All sessions of a simulator share it, and all methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._transcripts: deque[str] = deque()
        self._answers: deque[list[Output]] = deque()
        self._recent_answers: deque[list[Output]] = deque(maxlen=_KEPT_ANSWERS)

    def add(self, transcripts: Iterable[str] = (), answers: Iterable[Answer] = ()) -> None:
        """Script the transcripts of the next spoken turns, and the answers of the next responses."""
        with self._lock:
            self._transcripts.extend(transcripts)
            self._answers.extend(_outputs(answer) for answer in answers)

    def next_transcript(self) -> str | None:
        """Return the transcript of the next spoken turn, or None if none is scripted."""
        with self._lock:
            return self._transcripts.popleft() if self._transcripts else None

    def next_answer(self) -> list[Output] | None:
        """Return the next scripted answer, or None if none is left."""
        with self._lock:
            if not self._answers:
                return None
            answer = self._answers.popleft()
            self._recent_answers.appendleft(answer)
            return answer

    def recent_answers(self) -> list[list[Output]]:
        """Return the scripted answers that were used last, the newest first."""
        with self._lock:
            return list(self._recent_answers)


def _outputs(answer: Answer) -> list[Output]:
    parts = answer if isinstance(answer, list) else [answer]
    return [Say(part) if isinstance(part, str) else part for part in parts]


class Outbox:
    """The collected commands of a session. The outbox also injects the faults at the points that the session passes."""

    def __init__(self, ids: Ids, plan: FaultPlan, connection: int) -> None:
        self.is_ended = False
        """Whether the connection is closing, reset or hanging, so that no command may follow."""
        self.event_id: str | None = None
        """The `event_id` of the client event that is being handled. Errors repeat this id."""
        self.on_response_fault: Callable[[Fault], None] | None = None
        """The function that is called with a fault that ends a response."""
        self._ids = ids
        self._plan = plan
        self._connection = connection
        self._commands: list[Command] = []

    def take(self) -> list[Command]:
        """Return the collected commands, and empty the outbox."""
        commands, self._commands = self._commands, []
        return commands

    def send(self, kind: str, **fields: Any) -> None:
        """Append the command that sends a server event. Do nothing if `is_ended` is true."""
        if not self.is_ended:
            self._commands.append(Send({"type": kind, "event_id": self._ids.next("event"), **fields}))

    def send_error(self, kind: str, code: str | None, message: str, param: str | None = None) -> None:
        """Send an `error` event that names the client event being handled."""
        self.send("error", error=error_body(kind, code, message, param, self.event_id))

    def refuse(self, error: RequestError) -> None:
        """Send the `error` event for a refused client event."""
        self.send_error(error.kind, error.code, error.message, error.param)

    def start_timer(self, name: str, delay_s: float) -> None:
        """Start a timer, which returns as `Session.fire(name)`."""
        if not self.is_ended:
            self._commands.append(StartTimer(name, delay_s))

    def cancel_timer(self, name: str) -> None:
        """Cancel a timer."""
        self._commands.append(CancelTimer(name))

    def ask(self, command: Service) -> None:
        """Append a request to one of the simulator's services."""
        if not self.is_ended:
            self._commands.append(command)

    def close(self, code: int, reason: str) -> None:
        """Close the connection, and ignore all later commands."""
        self._end(Close(code, reason))

    # Faults.

    def pass_point(self, point: FaultPoint) -> bool:
        """Pass a fault point, inject the fault that is due there, and return whether the caller may continue."""
        fault = self.take_fault(point)
        return fault is None or self.inject(fault)

    def take_fault(self, point: FaultPoint) -> Fault | None:
        """Take the fault that is due at a point from the plan, and return it. The caller injects it."""
        return None if self.is_ended else self._plan.take(point, self._connection)

    def inject(self, fault: Fault) -> bool:
        """Inject a fault. Return False if it ended the connection, or if the client's event must not be handled."""
        if fault.delay_s:
            self._commands.append(Pause(fault.delay_s))
        _INJECTIONS[fault.action](self, fault)
        is_request = POINTS[fault.point].moment is Moment.REQUEST
        return not self.is_ended and not (is_request and fault.action in _REFUSING_ACTIONS)

    def _close(self, fault: Fault) -> None:
        if fault.error_code is not None:
            self._error(fault)
        self._end(Close(fault.code, fault.reason))

    def _reset(self, _fault: Fault) -> None:
        self._end(Reset())

    def _hang(self, _fault: Fault) -> None:
        self._end(Hang())

    def _malformed(self, fault: Fault) -> None:
        self._commands.append(SendRaw(fault.text))

    def _error(self, fault: Fault) -> None:
        self.send_error(fault.error_type, fault.error_code, fault.message)

    def _end_response(self, fault: Fault) -> None:
        if self.on_response_fault is not None:
            self.on_response_fault(fault)

    def _nothing(self, _fault: Fault) -> None:
        """Do nothing, because `inject` already makes the pause or the refusal."""

    def _end(self, command: Command) -> None:
        if not self.is_ended:  # the first end counts
            self._commands.append(command)
            self.is_ended = True


_REFUSING_ACTIONS: Final = frozenset({FaultAction.ERROR, FaultAction.SWALLOW})

_INJECTIONS: Final[dict[FaultAction, Callable[[Outbox, Fault], None]]] = {
    FaultAction.CLOSE: Outbox._close,  # noqa: SLF001 - the class's own table
    FaultAction.RESET: Outbox._reset,  # noqa: SLF001
    FaultAction.HANG: Outbox._hang,  # noqa: SLF001
    FaultAction.MALFORMED: Outbox._malformed,  # noqa: SLF001
    FaultAction.ERROR: Outbox._error,  # noqa: SLF001
    FaultAction.FAIL: Outbox._end_response,  # noqa: SLF001
    FaultAction.INCOMPLETE: Outbox._end_response,  # noqa: SLF001
    FaultAction.DELAY: Outbox._nothing,  # noqa: SLF001
    FaultAction.SWALLOW: Outbox._nothing,  # noqa: SLF001
}
"""The method that injects each action. The HTTP side injects `refuse`, so the table has no row for it."""


class Abilities(msgspec.Struct, frozen=True):
    """The services that a session may use.

    Without them the session describes speech, answers by rules, and uses the wordless voice.
    """

    hears: bool = False
    speaks: bool = False
    thinks: bool = False


class State(msgspec.Struct):
    """The shared state of one session.

    An update replaces `session` and never changes it in place, because events refer to it.
    """

    config: SimulatorConfig
    ids: Ids
    outbox: Outbox
    script: Script
    conversation: Conversation
    session: dict[str, Any]
    abilities: Abilities = Abilities()
    now: Callable[[], datetime] | None = None
