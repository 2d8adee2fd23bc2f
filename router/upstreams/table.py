"""The state machine of a breaker, as a table: state × event → next state, effect."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class BreakerState(enum.Enum):
    """The state of one key of an upstream."""

    CLOSED = "closed"
    """New calls dial with this key."""
    OPEN = "open"
    """Until the cool-down is over, new calls dial with other keys or upstreams."""
    HALF_OPEN = "half-open"
    """One call tries the key, and its result decides the next state."""


class Event(enum.Enum):
    """An event of a key."""

    DIALLED = "dialled"
    """A call dials with the key."""
    CONNECTED = "connected"
    """A dial succeeded, up to the WebSocket handshake."""
    SERVED = "served"
    """The upstream serves a session, because it has acknowledged the session's configuration."""
    FAILED = "failed"
    """The upstream failed, but fewer than `FAILURES_TO_OPEN` times in a row."""
    FAILED_AGAIN = "failed again"
    """The upstream failed at least `FAILURES_TO_OPEN` times in a row."""
    TIMED_OUT = "timed out"
    """A caller waited for the upstream until a deadline. A second caller should not have to wait, too."""
    REFUSED = "refused"
    """The upstream refused the credential, or the account has no quota left."""
    TOLD = "told"
    """The upstream named a time until which it takes no new call."""
    ABANDONED = "abandoned"
    """A call left before its dial had a result."""
    WARNED = "warned"
    """The breaker of this key is open on another machine."""
    CLEARED = "cleared"
    """The breaker of this key is no longer open on another machine."""


class Effect(enum.Enum):
    """The change of a breaker's counts and cool-down that a row of the table demands."""

    NONE = "none"
    COUNT = "count"
    """Count one more failure in a row."""
    RESET = "reset"
    """Set the numbers of failures and cool-downs to zero."""
    BACK_OFF = "back off"
    """Begin a cool-down. Each trial that failed makes it longer."""
    REFUSE = "refuse"
    """Begin the cool-down of a refused credential."""
    OBEY = "obey"
    """Begin a cool-down of the length that the upstream or another machine demands."""
    TRIAL = "trial"
    """Begin a trial, in which the next failure opens the breaker again."""
    RELEASE = "release"
    """End the cool-down now, so that the next call tries the key."""


class Row(NamedTuple):
    """One row of the table."""

    state: BreakerState
    event: Event
    next: BreakerState
    effect: Effect


_CLOSED, _OPEN, _HALF_OPEN = BreakerState

ROWS: Final = (
    Row(_CLOSED, Event.DIALLED, _CLOSED, Effect.NONE),
    # A handshake proves little, because an upstream may accept each call and then close it.
    Row(_CLOSED, Event.CONNECTED, _CLOSED, Effect.NONE),
    Row(_CLOSED, Event.SERVED, _CLOSED, Effect.RESET),
    Row(_CLOSED, Event.FAILED, _CLOSED, Effect.COUNT),
    Row(_CLOSED, Event.FAILED_AGAIN, _OPEN, Effect.BACK_OFF),
    Row(_CLOSED, Event.TIMED_OUT, _OPEN, Effect.BACK_OFF),
    Row(_CLOSED, Event.REFUSED, _OPEN, Effect.REFUSE),
    Row(_CLOSED, Event.TOLD, _OPEN, Effect.OBEY),
    Row(_CLOSED, Event.ABANDONED, _CLOSED, Effect.NONE),
    Row(_CLOSED, Event.WARNED, _OPEN, Effect.OBEY),
    Row(_CLOSED, Event.CLEARED, _CLOSED, Effect.NONE),
    # The pool dials with an open key only if the cool-down is over, or if every key is open.
    Row(_OPEN, Event.DIALLED, _HALF_OPEN, Effect.NONE),
    # These are results of calls that began before the breaker opened.
    Row(_OPEN, Event.CONNECTED, _OPEN, Effect.NONE),
    Row(_OPEN, Event.SERVED, _OPEN, Effect.NONE),
    Row(_OPEN, Event.FAILED, _OPEN, Effect.NONE),
    Row(_OPEN, Event.FAILED_AGAIN, _OPEN, Effect.NONE),
    Row(_OPEN, Event.TIMED_OUT, _OPEN, Effect.NONE),
    Row(_OPEN, Event.REFUSED, _OPEN, Effect.REFUSE),
    Row(_OPEN, Event.TOLD, _OPEN, Effect.OBEY),
    Row(_OPEN, Event.ABANDONED, _OPEN, Effect.NONE),
    Row(_OPEN, Event.WARNED, _OPEN, Effect.OBEY),
    Row(_OPEN, Event.CLEARED, _OPEN, Effect.RELEASE),
    Row(_HALF_OPEN, Event.DIALLED, _HALF_OPEN, Effect.NONE),
    Row(_HALF_OPEN, Event.CONNECTED, _CLOSED, Effect.TRIAL),
    Row(_HALF_OPEN, Event.SERVED, _CLOSED, Effect.RESET),
    Row(_HALF_OPEN, Event.FAILED, _OPEN, Effect.BACK_OFF),
    Row(_HALF_OPEN, Event.FAILED_AGAIN, _OPEN, Effect.BACK_OFF),
    Row(_HALF_OPEN, Event.TIMED_OUT, _OPEN, Effect.BACK_OFF),
    Row(_HALF_OPEN, Event.REFUSED, _OPEN, Effect.REFUSE),
    Row(_HALF_OPEN, Event.TOLD, _OPEN, Effect.OBEY),
    Row(_HALF_OPEN, Event.ABANDONED, _OPEN, Effect.RELEASE),
    # The trial of this machine decides, because its result will be newer.
    Row(_HALF_OPEN, Event.WARNED, _HALF_OPEN, Effect.NONE),
    Row(_HALF_OPEN, Event.CLEARED, _HALF_OPEN, Effect.NONE),
)

TABLE: Final[Mapping[tuple[BreakerState, Event], Row]] = {(row.state, row.event): row for row in ROWS}
