"""Faults on demand: the points of the protocol, the actions at those points, and how often a fault happens.

`POINTS` is the only table of points; docs/simulator.md repeats it. All sessions of a simulator share one `FaultPlan`.
So a fault can be limited to the first connections, and a restart then succeeds.
"""

from __future__ import annotations

import enum
import threading
from typing import Any, Final

import msgspec


class FaultPoint(enum.StrEnum):
    """A named point of the protocol."""

    HANDSHAKE = "handshake"
    CONNECT = "connect"
    SESSION_CREATED = "session_created"
    SESSION_UPDATE = "session_update"
    SESSION_UPDATED = "session_updated"
    ITEM_CREATE = "item_create"
    ITEM_ACKED = "item_acked"
    RESPONSE_CREATE = "response_create"
    RESPONSE_CREATED = "response_created"
    MID_TEXT = "mid_text"
    MID_TRANSCRIPT = "mid_transcript"
    MID_AUDIO = "mid_audio"
    AUDIO_DONE = "audio_done"
    BEFORE_RESPONSE_DONE = "before_response_done"
    FUNCTION_CALL = "function_call"
    FUNCTION_CALL_OUTSTANDING = "function_call_outstanding"
    FUNCTION_OUTPUT = "function_output"
    FUNCTION_OUTPUT_ACKED = "function_output_acked"
    BETWEEN_TURNS = "between_turns"
    AUDIO_APPEND = "audio_append"
    SPEECH_STARTED = "speech_started"
    SPEECH_STOPPED = "speech_stopped"
    COMMITTED = "committed"
    TRANSCRIPTION = "transcription"
    RESPONSE_CANCEL = "response_cancel"
    ITEM_TRUNCATE = "item_truncate"


class Moment(enum.Enum):
    """The kind of a fault point, which decides the actions that are possible at the point."""

    HTTP = "before the upgrade is answered"
    REQUEST = "a client event was received, and nothing done about it"
    FLOW = "between two server events"
    RESPONSE = "between two events of an active response"


class PointFacts(msgspec.Struct, frozen=True):
    """The row of a fault point in the table `POINTS`."""

    moment: Moment
    meaning: str


_REQUEST, _FLOW, _RESPONSE = Moment.REQUEST, Moment.FLOW, Moment.RESPONSE

POINTS: Final = {
    FaultPoint.HANDSHAKE: PointFacts(Moment.HTTP, "the upgrade request came in"),
    FaultPoint.CONNECT: PointFacts(_FLOW, "the socket is open, before `session.created`"),
    FaultPoint.SESSION_CREATED: PointFacts(_FLOW, "after `session.created`"),
    FaultPoint.SESSION_UPDATE: PointFacts(_REQUEST, "`session.update` received, before `session.updated`"),
    FaultPoint.SESSION_UPDATED: PointFacts(_FLOW, "after `session.updated`"),
    FaultPoint.ITEM_CREATE: PointFacts(_REQUEST, "`conversation.item.create` of a message received, not acknowledged"),
    FaultPoint.ITEM_ACKED: PointFacts(_FLOW, "after `conversation.item.done` of that message, before any response"),
    FaultPoint.RESPONSE_CREATE: PointFacts(_REQUEST, "`response.create` received, before `response.created`"),
    FaultPoint.RESPONSE_CREATED: PointFacts(_RESPONSE, "after `response.created`, before any output"),
    FaultPoint.MID_TEXT: PointFacts(_RESPONSE, "after a `response.output_text.delta`"),
    FaultPoint.MID_TRANSCRIPT: PointFacts(_RESPONSE, "after a `response.output_audio_transcript.delta`"),
    FaultPoint.MID_AUDIO: PointFacts(_RESPONSE, "after a `response.output_audio.delta`"),
    FaultPoint.AUDIO_DONE: PointFacts(_RESPONSE, "after `response.output_audio.done`, before the transcript's end"),
    FaultPoint.BEFORE_RESPONSE_DONE: PointFacts(_RESPONSE, "all output is done, before `response.done`"),
    FaultPoint.FUNCTION_CALL: PointFacts(_RESPONSE, "after `response.function_call_arguments.done`"),
    FaultPoint.FUNCTION_CALL_OUTSTANDING: PointFacts(
        _FLOW, "after `response.done` of a response that called functions"
    ),
    FaultPoint.FUNCTION_OUTPUT: PointFacts(_REQUEST, "a `function_call_output` item received, not acknowledged"),
    FaultPoint.FUNCTION_OUTPUT_ACKED: PointFacts(_FLOW, "after that item's `conversation.item.done`"),
    FaultPoint.BETWEEN_TURNS: PointFacts(_FLOW, "after `response.done` of a response that called nothing"),
    FaultPoint.AUDIO_APPEND: PointFacts(_REQUEST, "an `input_audio_buffer.append` received"),
    FaultPoint.SPEECH_STARTED: PointFacts(_FLOW, "after `input_audio_buffer.speech_started`"),
    FaultPoint.SPEECH_STOPPED: PointFacts(_FLOW, "after `input_audio_buffer.speech_stopped`"),
    FaultPoint.COMMITTED: PointFacts(_FLOW, "after `input_audio_buffer.committed`, before its item"),
    FaultPoint.TRANSCRIPTION: PointFacts(_FLOW, "before a spoken turn's transcript is completed"),
    FaultPoint.RESPONSE_CANCEL: PointFacts(_REQUEST, "`response.cancel` received"),
    FaultPoint.ITEM_TRUNCATE: PointFacts(_REQUEST, "`conversation.item.truncate` received"),
}
"""Every point, in the order of a session's life."""


class FaultAction(enum.StrEnum):
    """The action of a fault at its point."""

    CLOSE = "close"
    """A close frame with `code` and `reason`. If `error_code` is set, an `error` event precedes it."""
    RESET = "reset"
    """The TCP connection is reset, without a close frame."""
    HANG = "hang"
    """The simulator reads and writes nothing any more, answers no ping, and keeps the socket open."""
    MALFORMED = "malformed"
    """One text frame that is not JSON (`text`); the session continues."""
    ERROR = "error"
    """An `error` event. At a point at which the client requests something, it refuses the client's event.

    At any other point the session continues.
    """
    FAIL = "fail"
    """The active response ends as `failed` with `error_code`. If none is active, the next response does.

    At `transcription` the transcription fails.
    """
    INCOMPLETE = "incomplete"
    """The active response ends as `incomplete` for `reason`. If none is active, the next response does."""
    DELAY = "delay"
    """All later frames are held back for `delay_s`."""
    SWALLOW = "swallow"
    """The request is ignored, without an answer."""
    REFUSE = "refuse"
    """The upgrade is answered with HTTP `status`."""


_ALWAYS: Final = frozenset({FaultAction.CLOSE, FaultAction.RESET, FaultAction.HANG, FaultAction.DELAY})
_WITH_FRAMES: Final = _ALWAYS | {FaultAction.MALFORMED, FaultAction.ERROR, FaultAction.FAIL, FaultAction.INCOMPLETE}

ACTIONS_AT: Final = {
    Moment.HTTP: frozenset({FaultAction.REFUSE, FaultAction.RESET, FaultAction.HANG, FaultAction.DELAY}),
    Moment.REQUEST: _WITH_FRAMES | {FaultAction.SWALLOW},
    Moment.FLOW: _WITH_FRAMES,
    Moment.RESPONSE: _WITH_FRAMES,
}
"""The actions that are possible at each kind of point."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault: `action` at `point`. Raises `ValueError` if the action is not possible there."""

    point: FaultPoint
    action: FaultAction
    code: int = 1000
    """The code of the close frame, for the action `close`."""
    reason: str = ""
    """The reason in the close frame, or that of an `incomplete` response: `content_filter` or `max_output_tokens`."""
    status: int = 503
    """The HTTP status, for the action `refuse`."""
    error_type: str = "server_error"
    error_code: str | None = None
    """The code in the `error` event, the failed response or the failed transcription."""
    message: str = "The server had an error while processing your request. Sorry about that!"
    text: str = '{"type": "response.output_te'
    """The frame that the action `malformed` sends."""
    delay_s: float = 0.0
    """The time for which `delay` holds frames back. For any other action, the time before the action happens."""
    times: int = 1
    """The number of times that the fault happens, over all connections; 0 has no limit."""
    skip: int = 0
    """The number of times that sessions pass the point, all together, before the fault first happens."""
    first_connections: int = 0
    """The fault happens only on the first connections, up to this number; 0 means on all."""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS_AT[POINTS[self.point].moment]:
            raise ValueError(f"a fault cannot {self.action} at {self.point}")


class FaultPlan:
    """The faults that are still to happen. All methods may be called from any thread."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._lock = threading.Lock()
        self._pending: list[list[Any]] = []
        """A list for each fault: the fault, and two numbers.

        They are the number of passes still to skip, and the number of times that the fault will still happen.
        """
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Add a fault. It happens after the pending faults of the same point."""
        with self._lock:
            self._pending.append([fault, fault.skip, fault.times])

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._pending.clear()

    def take(self, point: FaultPoint, connection: int) -> Fault | None:
        """Return the fault that is due, and count it; None if none is due.

        `connection` is the number of the connection that passes `point`, counted from 1.
        """
        # This check takes no lock, because nearly always no fault is pending, and every delta passes a point.
        if not self._pending:
            return None
        with self._lock:
            return self._take(point, connection)

    def _take(self, point: FaultPoint, connection: int) -> Fault | None:
        for entry in self._pending:
            fault: Fault = entry[0]
            if fault.point is not point or 0 < fault.first_connections < connection:
                continue
            if entry[1] > 0:
                entry[1] -= 1
                continue
            if fault.times:
                entry[2] -= 1
                if entry[2] == 0:
                    self._pending.remove(entry)
            return fault
        return None


def fault_from(fields: dict[str, Any]) -> Fault:
    """Read a fault from JSON or TOML; raises `ValueError` with a sentence that names the problem."""
    try:
        return msgspec.convert(fields, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"bad fault: {error}{_choices(fields)}") from None


def _choices(fields: dict[str, Any]) -> str:
    """Return the end of an error sentence: the valid names, if a name in `fields` is unknown."""
    kinds: dict[str, type[enum.StrEnum]] = {"point": FaultPoint, "action": FaultAction}
    wrong = next((key for key, kind in kinds.items() if key in fields and fields[key] not in set(kind)), None)
    return "" if wrong is None else f"; {wrong} is one of {', '.join(kinds[wrong])}"


def parse_fault(text: str) -> Fault:
    """Read a fault from the command line, `point:action[,field=value…]`; raises `ValueError`.

    For example `mid_audio:close,code=1011,reason=internal error,first_connections=1`.
    """
    head, *pairs = text.split(",")
    point, colon, action = head.partition(":")
    if not colon or not all("=" in pair for pair in pairs):
        raise ValueError(f"bad fault {text!r}: expected point:action[,field=value...]")
    fields = dict(pair.split("=", 1) for pair in pairs)
    return fault_from({"point": point.strip(), "action": action.strip(), **fields})
