"""The fault matrix as data: the faults, their places in a conversation, and the results for the client.

Pure: nothing here runs a router. `cells` makes every combination, and `table` prints the promised results as Markdown:

    python -m tests.support.faults.matrix    # prints the table of docs/never-stuck.md
"""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from router.simulator import Fault, FaultAction, FaultPoint

A, P = FaultAction, FaultPoint


class Outcome(enum.Enum):
    """The result of a conversation for the client."""

    ANSWERED = "answered"
    """Every question is answered once, completely."""
    CUT = "cut short"
    """The turn ends with the partial answer. The next question is answered."""
    TOLD = "reported"
    """The client gets an `Error` with the upstream's code, and the session continues."""
    ENDED = "ended"
    """The client gets an `Error`, then a close frame."""


class Route(enum.Enum):
    """The end of a dial that never reaches the upstream."""

    REFUSED = "TCP refused"
    UNKNOWN = "no such host"
    NO_TLS = "TLS failed"
    ABRUPT = "closed behind the handshake"
    """The server's last frames are in the packet that completes the handshake."""


@dataclass(frozen=True)
class Row:
    """One fault: a row of the matrix."""

    name: str
    outcome: Outcome = Outcome.ANSWERED
    fault: dict[str, Any] = field(default_factory=dict)
    """The fields of the simulator's `Fault`, without its place."""
    route: Route | None = None
    """In place of a simulator's fault: the place to which a dial leads."""
    is_redial: bool = False
    """Whether a dial fails. At a place after the dial, a close with code 1000 comes first."""
    codes: tuple[str, ...] = ()
    """The codes that an `Error` may have."""
    kills: bool = False
    """Whether the router's own worker dies, and another worker adopts the session."""
    detect_s: float = 0.0
    """The seconds within which a deadline detects the fault."""

    @property
    def is_loss(self) -> bool:
        """Whether the fault ends the upstream's connection."""
        return self.is_redial or self.fault["action"] not in (A.ERROR, A.FAIL, A.INCOMPLETE)


def _close(name: str, code: int, **more: Any) -> Row:
    return Row(name, fault={"action": A.CLOSE, "code": code, **more})


def _dial(name: str, **more: Any) -> Row:
    return Row(name, is_redial=True, **more)


def _refusal(code: str, close_code: int, kind: str = "invalid_request_error") -> dict[str, Any]:
    reason = f"{kind}.{code}"
    return {"action": A.CLOSE, "code": close_code, "error_code": code, "error_type": kind, "reason": reason}


ROWS = (
    _close("close 1000", 1000),
    _close("close 1001", 1001),
    _close("close 1005 (no code)", 1005),
    Row("close 1006 (reset)", fault={"action": A.RESET}),
    _close("close 1011", 1011, reason="internal error"),
    _close("close 1012", 1012),
    _close("close 1013", 1013, reason="try again later"),
    _close("`session_expired`, close 1001", 1001, error_code="session_expired", error_type="invalid_request_error"),
    Row("half-open: silence", fault={"action": A.HANG}, detect_s=1.3),
    Row("malformed frame", fault={"action": A.MALFORMED}),
    Row("`error` event", Outcome.TOLD, fault={"action": A.ERROR, "error_code": "odd"}, codes=("odd",)),
    Row("response failed: `server_error`", fault={"action": A.FAIL, "error_code": "server_error"}, detect_s=0.6),
    Row(
        "response failed: `rate_limit_exceeded`",
        fault={"action": A.FAIL, "error_code": "rate_limit_exceeded"},
        detect_s=0.6,
    ),
    Row("response incomplete", Outcome.CUT, fault={"action": A.INCOMPLETE, "reason": "max_output_tokens"}),
    _dial("re-dial: TCP refused", route=Route.REFUSED),
    _dial("re-dial: DNS failure", route=Route.UNKNOWN),
    _dial("re-dial: TLS failure", route=Route.NO_TLS),
    _dial(
        "re-dial: HTTP 401",
        outcome=Outcome.ENDED,
        fault={"action": A.REFUSE, "status": 401},
        codes=("UPSTREAM_UNAUTHORIZED",),
    ),
    _dial("re-dial: HTTP 429", fault={"action": A.REFUSE, "status": 429}),
    _dial("re-dial: HTTP 503", fault={"action": A.REFUSE, "status": 503}),
    _dial(
        "re-dial: `invalid_api_key`, close 3000",
        outcome=Outcome.ENDED,
        fault=_refusal("invalid_api_key", 3000),
        codes=("invalid_api_key",),
    ),
    _dial(
        "re-dial: `insufficient_quota`, close 1013",
        outcome=Outcome.ENDED,
        fault=_refusal("insufficient_quota", 1013, "insufficient_quota"),
        codes=("insufficient_quota",),
    ),
)
"""The rows, in the order of docs/never-stuck.md."""


KILLED = Row("own worker killed", fault={"action": A.RESET}, kills=True, detect_s=0.1)
"""The row that runs only in virtual time. The upstream's connections end with the worker."""


class Scenario(enum.Enum):
    """The conversation of a column. Each ends with a question about the words before it."""

    TEXT = "the user writes"
    TOOL = "a function is called"
    SPEECH = "the user speaks"
    ROLLOVER = "a question is asked while the next upstream is got ready"


class Where(enum.Enum):
    """The part that stands still in a stall."""

    DISPATCHER = "the dispatcher"
    CLIENT_TO_ROUTER = "client to router"
    ROUTER_TO_CLIENT = "router to client"
    ROUTER_TO_UPSTREAM = "router to upstream"
    UPSTREAM_TO_ROUTER = "upstream to router"


@dataclass(frozen=True)
class Stall:
    """A moment in which something stands still."""

    where: Where
    duration_s: float


@dataclass(frozen=True)
class Column:
    """A place in a conversation."""

    name: str
    point: FaultPoint
    scenario: Scenario = Scenario.TEXT
    skip: int = 0
    """The number of times that the point is passed before the fault."""
    in_text: tuple[FaultPoint, int] | None = None
    """The point and its `skip` in text modality, if the place has another name there."""
    only_audio: bool = False
    is_before_settings: bool = False
    """Whether the client has not got SettingsApplied yet."""
    earlier: tuple[Fault, ...] = ()
    """The faults before this place."""
    is_hopeless: bool = False
    """Whether a fault that happens on every dial leaves the question of every upstream open."""
    spoils: bool = False
    """Whether an `error` at this place refuses an event that the turn needs."""
    stall: Stall | None = None
    """A stall during the user's speech, in addition to the fault."""
    is_busy: bool = False
    """Whether other programs use every core of the machine."""
    error_point: FaultPoint | None = None
    """The point of an `error` event, if at `point` it would refuse the Settings."""

    @property
    def dial(self) -> int:
        """The number of the dial that fails in a row with `is_redial`, counted from 1."""
        return 1 if self is DIALLING else 2 + len(self.earlier)


DIALLING = Column("while dialling", P.HANDSHAKE, is_hopeless=True, is_before_settings=True)
RESTART = Column(
    "during a restart",
    P.SESSION_UPDATE,
    skip=1,
    earlier=(Fault(point=P.RESPONSE_CREATE, action=A.CLOSE, code=1000),),
    error_point=P.SESSION_CREATED,
)
ROLLOVER = Column(
    "during a rollover", P.SESSION_UPDATE, scenario=Scenario.ROLLOVER, skip=1, error_point=P.SESSION_CREATED
)
BETWEEN_TURNS = Column("between turns", P.BETWEEN_TURNS)
BEFORE_UPDATED = Column(
    "before `session.updated`", P.SESSION_UPDATE, is_hopeless=True, is_before_settings=True, spoils=True
)

COLUMNS = (
    DIALLING,
    Column("before `session.created`", P.CONNECT, is_hopeless=True, is_before_settings=True),
    BEFORE_UPDATED,
    Column("item sent, no ack", P.ITEM_CREATE, is_hopeless=True, spoils=True),
    Column("item acked, before `response.create`", P.ITEM_ACKED, is_hopeless=True),
    Column("`response.create` sent, no response", P.RESPONSE_CREATE, is_hopeless=True, spoils=True),
    Column("response created, no output", P.RESPONSE_CREATED, is_hopeless=True),
    Column("in mid-text", P.MID_TRANSCRIPT, is_hopeless=True, skip=2, in_text=(P.MID_TEXT, 4)),
    Column("in mid-audio", P.MID_AUDIO, is_hopeless=True, skip=24, only_audio=True),
    Column("all said, before `response.done`", P.BEFORE_RESPONSE_DONE),
    Column("function called, before `response.done`", P.FUNCTION_CALL, scenario=Scenario.TOOL),
    Column("function call outstanding", P.FUNCTION_CALL_OUTSTANDING, scenario=Scenario.TOOL),
    Column("function output sent", P.FUNCTION_OUTPUT, scenario=Scenario.TOOL, spoils=True),
    BETWEEN_TURNS,
    Column("user in mid-speech", P.AUDIO_APPEND, scenario=Scenario.SPEECH, skip=9, spoils=True),
    RESTART,
    ROLLOVER,
)
"""The columns, in the order of a conversation."""

STALLS = (
    Stall(Where.DISPATCHER, 0.8),
    *(Stall(where, duration_s) for where in Where if where is not Where.DISPATCHER for duration_s in (0.7, 2.0)),
)

STALLED = tuple(
    Column(
        f"{it.where.value} stalled {it.duration_s:g} s in mid-speech",
        P.AUDIO_APPEND,
        scenario=Scenario.SPEECH,
        skip=9,
        spoils=True,
        stall=it,
    )
    for it in STALLS
)
"""The columns with a stall, which run in virtual time. tests/sockets/test_stalls.py has some of them over sockets."""

BUSY = Column("on a busy machine", P.RESPONSE_CREATE, spoils=True, is_busy=True)
"""The column of a busy machine, which runs over sockets."""

MODALITIES = ("audio", "text")


@dataclass(frozen=True)
class Cell:
    """One test: a row at a column, with a profile and a modality."""

    row: Row
    column: Column
    profile: str
    modality: str
    times: int = 1
    """The number of times that the row's fault happens; 0 has no limit."""

    @property
    def outcome(self) -> Outcome | None:
        """The promised result for the client; None if row and column do not fit together."""
        return promised(self.row, self.column)

    @property
    def place(self) -> tuple[FaultPoint, int]:
        """The point of the row's fault, and the number of times that it is passed before the fault."""
        row, column = self.row, self.column
        if row.is_redial:
            point = P.HANDSHAKE if row.fault.get("action") is A.REFUSE else P.CONNECT
            # A fault that happens keeps those behind it from counting that the point was passed.
            return point, column.dial - 1 - (column.point is point and column is not DIALLING)
        if column.error_point is not None and row.outcome is Outcome.TOLD:
            return column.error_point, column.skip
        if column is DIALLING and row.fault["action"] not in (A.RESET, A.HANG):
            return P.CONNECT, 0
        return column.in_text if column.in_text and self.modality == "text" else (column.point, column.skip)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults for the simulator."""
        point, skip = self.place
        faults = [*self.column.earlier]
        if self.row.is_redial and self.column not in (DIALLING, ROLLOVER):
            faults.append(self._first_close())
        if self.row.fault and self.detour is None:
            faults.append(Fault(point=point, skip=skip, times=self.times, **self.row.fault))
        return tuple(faults)

    def _first_close(self) -> Fault:
        column = self.column
        point, skip = column.in_text if column.in_text and self.modality == "text" else (column.point, column.skip)
        return Fault(point=point, skip=skip, action=A.CLOSE, code=1000)

    @property
    def detour(self) -> Route | None:
        """The route of the dial that fails, if it does not reach the simulator; else None."""
        row = self.row
        if self.column is DIALLING and row.fault.get("action") in (A.CLOSE, A.MALFORMED) and not row.is_redial:
            return Route.ABRUPT
        return row.route

    @property
    def losses(self) -> int:
        """The number of upstreams in use that are lost. A lost standby does not count."""
        if self.column is ROLLOVER:
            return int(self.row.kills)
        own = (2 if self.row.is_redial and self.column is not DIALLING else 1) if self.row.is_loss else 0
        return own + len(self.column.earlier)

    def __str__(self) -> str:
        return f"{self.row.name} / {self.column.name} / {self.profile} / {self.modality}"


def promised(row: Row, column: Column) -> Outcome | None:
    """Return the promised result for the client; None if row and column do not fit together."""
    action = row.fault.get("action")
    if column is DIALLING and action in (A.ERROR, A.FAIL, A.INCOMPLETE):
        return None
    if row.outcome is Outcome.TOLD:
        return Outcome.ENDED if column is BEFORE_UPDATED else Outcome.TOLD
    if column is ROLLOVER and row.outcome is Outcome.ENDED:
        return Outcome.ANSWERED  # the upstream in use goes on
    return row.outcome


def hopeless_cells(row: Row) -> Iterator[Cell]:
    """Return the cells of a row in which a fault on every dial ends the session, one profile for each modality."""
    if row.outcome is not Outcome.ANSWERED:
        return
    for cell in cells(row):
        column = cell.column
        is_failed = row.fault.get("action") is A.FAIL  # costs no upstream: only where each response passes
        if not column.is_hopeless or (is_failed and column.point not in (P.RESPONSE_CREATE, P.RESPONSE_CREATED)):
            continue
        if cell.profile == {"audio": "openai", "text": "converse"}[cell.modality]:
            yield replace(cell, times=0)


def stalled_cells(row: Row) -> Iterator[Cell]:
    """Return the cells of a row with each stall, one profile for each modality."""
    return _of_one_profile(row, STALLED)


def busy_cells(row: Row) -> Iterator[Cell]:
    """Return the cells of a row on a busy machine, one profile for each modality."""
    return _of_one_profile(row, (BUSY,))


def _of_one_profile(row: Row, columns: Iterable[Column]) -> Iterator[Cell]:
    profiles = {"audio": "openai", "text": "converse"}
    return (cell for cell in cells(row, columns) if cell.profile == profiles[cell.modality])


def cells(row: Row, columns: Iterable[Column] = COLUMNS) -> Iterator[Cell]:
    """Yield each cell of a row that has a promised result."""
    for column in columns:
        if promised(row, column) is None:
            continue
        for modality in MODALITIES:
            if column.only_audio and modality == "text":
                continue
            for profile in ("openai", "converse"):
                yield Cell(row, column, profile, modality)


def table() -> str:
    """Return the matrix as a Markdown table: a row for each fault, a column for each place."""
    columns = (*COLUMNS, *STALLED, BUSY)
    head = ["", *(column.name for column in columns)]
    lines = [head, ["---"] * len(head)]
    for row in ROWS:
        outcomes = (promised(row, column) for column in columns)
        lines.append([row.name, *(outcome.value if outcome else "" for outcome in outcomes)])
    own = ["" if column is BUSY else KILLED.outcome.value for column in columns]
    lines.append([KILLED.name, *own])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
