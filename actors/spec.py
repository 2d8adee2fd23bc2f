"""What the engine needs to know to run a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from actors.machine import Machine


def _never(_reason: str) -> bool:
    return False


def _nobody_asks() -> None:
    """Who wants to know of an end says so."""


def _no_work(work: Any) -> Any:
    raise LookupError(f"{type(work).__name__}: this session has nobody who does work")


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine needs to know to run a session."""

    session_id: str
    machine: Machine
    dial_target: Callable[[str, int], DialTarget]
    """Makes the target of `OpenUpstream.route` at a position of the upstreams. Called on the supervisor's thread."""
    dialler: Callable[[DialTarget], Connection]
    """Dials it. Called on one of the connector's threads; raises `DialError`."""
    crash_frame: str
    """The typed message that the client gets when one of the session's actors has failed."""
    upstreams: int = 1
    """How many there are to dial."""
    restarts: int
    """How many restarts in a row there may be, without a completed turn between them."""
    is_fatal: Callable[[str], bool] = _never
    """Whether a close reason says that another try is of no use."""
    on_end: Callable[[], None] = _nobody_asks
    """Called when nothing of the session is left, on the supervisor's thread; must not block."""
    deliver: Callable[[Any], None] | None = None
    """Tells an embedding application: `SessionStarted`, whatever the machine reports, and `SessionEnded`, in order and
    one at a time. Called on a thread of `Pools.hooks`; may block, and raise anything."""
    deliver_timeout_s: float
    """Thereafter the rest of a notification is not waited for."""
    perform: Callable[[Any], Any] = _no_work
    """Does the `work` of `StartWork`. Called on a thread of the pool for it; may block, and raise anything."""
