"""What the parts of one simulated session share: its ids, its way out, its script, its session object. Pure."""

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
    StartTimer,
)
from router.simulator.errors import RequestError, error_body
from router.simulator.faults import POINTS, Fault, FaultAction, FaultPlan, FaultPoint, Moment
from router.simulator.history import Output, Say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.simulator.config import SimulatorConfig
    from router.simulator.conversation import Conversation

Answer = str | Output | list[str | Output]
"""A scripted answer: text to say, a call, or several of them in one response."""


_REMEMBERED_ANSWERS: Final = 16
"""A scripted answer that is cut off may be gone on with, in another session."""


class Ids:
    """Ids from a counter: unique over all sessions of a simulator, at most 32 characters long."""

    def __init__(self, session_number: int) -> None:
        self._session_number = session_number
        self._counter = itertools.count(1)

    def next(self, prefix: str) -> str:
        """A new id, such as `item_000001x00000007`."""
        return f"{prefix}_{self._session_number:06d}x{next(self._counter):08d}"


class Script:
    """What a test wants heard and answered, in order; shared by all sessions of a simulator. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._transcripts: deque[str] = deque()
        self._answers: deque[list[Output]] = deque()
        self._given: deque[list[Output]] = deque(maxlen=_REMEMBERED_ANSWERS)

    def add(self, transcripts: Iterable[str] = (), answers: Iterable[Answer] = ()) -> None:
        """Have these spoken turns heard so, and these responses answered so, one each."""
        with self._lock:
            self._transcripts.extend(transcripts)
            self._answers.extend(_outputs(answer) for answer in answers)

    def next_transcript(self) -> str | None:
        """What the next spoken turn is taken to say."""
        with self._lock:
            return self._transcripts.popleft() if self._transcripts else None

    def next_answer(self) -> list[Output] | None:
        """What the next response answers."""
        with self._lock:
            if not self._answers:
                return None
            answer = self._answers.popleft()
            self._given.appendleft(answer)
            return answer

    def given(self) -> list[list[Output]]:
        """The scripted answers that were given last, the newest first."""
        with self._lock:
            return list(self._given)


def _outputs(answer: Answer) -> list[Output]:
    parts = answer if isinstance(answer, list) else [answer]
    return [Say(part) if isinstance(part, str) else part for part in parts]


class Outbox:
    """The way out of a session: collects commands, and lets faults happen at the points that are passed."""

    def __init__(self, ids: Ids, plan: FaultPlan, connection: int) -> None:
        self.is_deaf = False
        """The connection is ending or hanging: nothing goes out any more."""
        self.event_id: str | None = None
        """The client's id of the event being handled, which errors name."""
        self.on_response_fault: Callable[[Fault], None] | None = None
        self._ids = ids
        self._plan = plan
        self._connection = connection
        self._commands: list[Command] = []

    def take(self) -> list[Command]:
        """The commands so far."""
        commands, self._commands = self._commands, []
        return commands

    def send(self, kind: str, **fields: Any) -> None:
        """Send a server event."""
        if not self.is_deaf:
            self._commands.append(Send({"type": kind, "event_id": self._ids.next("event"), **fields}))

    def send_error(self, kind: str, code: str | None, message: str, param: str | None = None) -> None:
        """Send an `error` event, naming the client event being handled."""
        self.send("error", error=error_body(kind, code, message, param, self.event_id))

    def refuse(self, error: RequestError) -> None:
        """Answer a refused request."""
        self.send_error(error.kind, error.code, error.message, error.param)

    def start_timer(self, name: str, delay_s: float) -> None:
        """Have `fire(name)` called later."""
        if not self.is_deaf:
            self._commands.append(StartTimer(name, delay_s))

    def cancel_timer(self, name: str) -> None:
        """Forget a timer."""
        self._commands.append(CancelTimer(name))

    def close(self, code: int, reason: str) -> None:
        """Close the connection, and be deaf from here on."""
        self._end(Close(code, reason))

    # Faults.

    def reach(self, point: FaultPoint) -> bool:
        """Pass a point: a fault may happen here. Whether to go on with what was being done."""
        fault = self.fault_at(point)
        return fault is None or self.suffer(fault)

    def fault_at(self, point: FaultPoint) -> Fault | None:
        """The fault that is due at the point, for a caller that can do more about it than `suffer`."""
        return None if self.is_deaf else self._plan.take(point, self._connection)

    def suffer(self, fault: Fault) -> bool:
        """Let it happen; whether to go on with what was being done."""
        if fault.delay_s:
            self._commands.append(Pause(fault.delay_s))
        _HAPPENING[fault.action](self, fault)
        is_request = POINTS[fault.point].moment is Moment.REQUEST
        return not self.is_deaf and not (is_request and fault.action in _REFUSING)

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
        """The pause, or the refusal, is all."""

    def _end(self, command: Command) -> None:
        if not self.is_deaf:
            self._commands.append(command)
            self.is_deaf = True


_REFUSING: Final = frozenset({FaultAction.ERROR, FaultAction.SWALLOW})

_HAPPENING: Final[dict[FaultAction, Callable[[Outbox, Fault], None]]] = {
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
"""What each action does; `refuse` belongs to the HTTP side alone."""


class State(msgspec.Struct):
    """One session's shared state; `session` is replaced, never changed in place."""

    config: SimulatorConfig
    ids: Ids
    outbox: Outbox
    script: Script
    conversation: Conversation
    session: dict[str, Any]
