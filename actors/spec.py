"""The specification of a session: everything that the engine needs to run one. The router makes it for each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.restart import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from actors.footprint import Footprint
    from actors.machine import Carried, Machine
    from actors.messages import LateReport, UpstreamTextReceived
    from actors.restart import Loss
    from actors.throttle import Rates


def _never_fatal(_reason: str) -> bool:
    return False


def _never_paused(_position: int) -> bool:
    return False


def no_other_key(_generation: int, _loss: Loss) -> bool:
    """Return False: the upstreams have one key each."""
    return False


def _ignore_end() -> None:
    pass


def _read_nothing(_message: UpstreamTextReceived) -> None:
    return None


def _observe_nothing(_event: Any) -> None:
    pass


def _refuse_work(work: Any) -> Any:
    raise LookupError(f"{type(work).__name__}: this session has no function that performs work")


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A session to run: its machine, its upstreams, and the functions that the engine calls for it."""

    session_id: str
    machine: Machine
    carried: Carried | None = None
    """The session as another process can continue it; None if none can."""
    dial_target: Callable[[str, int], DialTarget]
    """The function that makes the target of `OpenUpstream.route` at a position. It runs on the supervisor's thread."""
    dialler: Callable[[DialTarget], Connection]
    """The function that dials a target. It runs on one of the connector's threads, and raises `DialError`."""
    crash_frame: str
    """The message that the client gets when one of the session's actors has failed; empty for none."""
    busy_frame: str | None = None
    """The message that the client gets when all sessions together hold too much memory, and this session the most."""
    footprint: Footprint | None = None
    """The account of the memory that all sessions hold together; None for no bound."""
    client_rates: Rates | None = None
    """The highest rates of the client's messages; None for no limit."""
    upstreams: int = 1
    """The number of upstreams in the configured list."""
    restarts: int
    """The largest number of restarts in a row, without a completed turn between them."""
    is_paused: Callable[[int], bool] = _never_paused
    """Whether an operator has paused the upstream at a position, so that it is not dialled.

    The function runs on the supervisor's thread.
    """
    choose: Callable[[Sequence[int], int | None], int] = first_of
    """The function that chooses the position to dial. It runs on the supervisor's thread.

    The first argument has the positions that may be dialled, at least one, in the order of preference. The second is
    the position that the session leaves, or None if it may stay.
    """
    note_loss: Callable[[int, Loss], bool] = no_other_key
    """The function that gets the loss of a generation, before the verdict. It runs on the supervisor's thread.

    It returns whether the same upstream may serve the session with another key.
    """
    is_fatal: Callable[[str], bool] = _never_fatal
    """Whether a close reason means that another attempt would meet the same answer."""
    read_late: Callable[[UpstreamTextReceived], LateReport | None] = _read_nothing
    """The function that returns the meaning of a message that arrives too late for the machine, or None.

    An upstream may report the usage of a cancelled response after the session has closed it. The function runs on the
    session's dispatcher, once for each such message.
    """
    on_end: Callable[[], None] = _ignore_end
    """The function that is called when nothing of the session is left.

    It runs on the supervisor's thread, and must not block.
    """
    observe: Callable[[Any], None] = _observe_nothing
    """The observer of the session: it gets the notifications, and the messages about the session's start and end.

    It runs on the supervisor's thread, in order, and must not block. An exception is logged.
    """
    log_fields: Mapping[str, Any] = {}
    """The fields of every log line of the session, beside `session` and `generation`."""
    deliver: Callable[[Any], None] | None = None
    """The function that delivers a notification to the embedding application, beginning with `SessionStarted`.

    It is called in order and one at a time, on a thread of `Pools.hooks`. It may block, and raise anything.
    """
    delivered: tuple[type, ...] = (object,)
    """The classes of the notifications that are delivered."""
    deliver_timeout_s: float
    """The longest wait in seconds for the delivery of one notification. The next delivery starts then."""
    perform: Callable[[Any], Any] = _refuse_work
    """The function that performs the `work` of `StartWork`.

    It runs on a thread of a pool. It may block, and raise anything.
    """
