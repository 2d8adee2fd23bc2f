"""The specification of a session: everything that the engine needs to run one. The router makes it for each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from actors.machine import Machine


def _never_fatal(_reason: str) -> bool:
    return False


def _ignore_end() -> None:
    pass


def _refuse_work(work: Any) -> Any:
    raise LookupError(f"{type(work).__name__}: this session has no function that performs work")


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A session to run: its machine, its upstreams, and the functions that the engine calls for it."""

    session_id: str
    machine: Machine
    dial_target: Callable[[str, int], DialTarget]
    """Makes the target of `OpenUpstream.route` at a position of the upstreams. Called on the supervisor's thread."""
    dialler: Callable[[DialTarget], Connection]
    """Dials a target. Called on one of the connector's threads; raises `DialError`."""
    crash_frame: str
    """The message that the client gets when one of the session's actors has failed."""
    upstreams: int = 1
    """The number of upstreams in the configured list."""
    restarts: int
    """The largest number of restarts in a row, without a completed turn between them."""
    is_fatal: Callable[[str], bool] = _never_fatal
    """Whether a close reason means that another attempt would meet the same answer."""
    on_end: Callable[[], None] = _ignore_end
    """Called when nothing of the session is left. On the supervisor's thread: it must not block."""
    deliver: Callable[[Any], None] | None = None
    """Delivers a notification to the embedding application: `SessionStarted`, those of the machine, `SessionEnded`.

    Called in order and one at a time, on a thread of `Pools.hooks`: it may block, and raise anything.
    """
    deliver_timeout_s: float
    """The longest wait for one notification; the next one starts then."""
    perform: Callable[[Any], Any] = _refuse_work
    """Performs the `work` of `StartWork`. Called on a thread of a pool: it may block, and raise anything."""
