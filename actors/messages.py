"""What actors tell each other: immutable, and free of either vendor's words.

Inputs are in the past tense: something happened. Commands are imperative: something shall happen. Lifecycle
messages are between the supervisor and its actors. A *frame* is what a WebSocket carried: `str` is a text
message, `bytes` a binary one.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from actors.connections.base import ConnectionClosed
    from actors.restart import Loss, Verdict


class Message(msgspec.Struct, frozen=True):
    """Anything that one actor tells another."""


# Inputs: what reaches a session's translator.


class ClientOpened(Message, frozen=True):
    """The client is connected and listening."""


class ClientTextReceived(Message, frozen=True):
    """The client sent a text message."""

    text: str


class ClientBinaryReceived(Message, frozen=True):
    """The client sent bytes. A long binary message arrives in several pieces, in order."""

    data: bytes


class ClientOverflowed(Message, frozen=True):
    """The client does not read: what waited for it was dropped."""

    dropped_bytes: int


class ClientCaughtUp(Message, frozen=True):
    """The client has read all that it was sent before a `ProbeClient`."""


class ClientClosed(Message, frozen=True):
    """The client is gone."""

    closed: ConnectionClosed


class UpstreamOpened(Message, frozen=True):
    """The upstream of this generation completed its handshake; it has not said anything yet."""

    generation: int
    position: int
    """In the configured list."""
    unix_s: float
    """The time on the wall, to be compared with what the upstream says of its own end."""


class UpstreamTextReceived(Message, frozen=True):
    """The upstream sent a text message."""

    generation: int
    text: str


class UpstreamBinaryReceived(Message, frozen=True):
    """The upstream sent bytes."""

    generation: int
    data: bytes


class UpstreamLost(Message, frozen=True):
    """The upstream of this generation is gone, could not be dialled, or was given up; and what is done about it."""

    generation: int
    loss: Loss
    verdict: Verdict


class TimerFired(Message, frozen=True):
    """A timer that `StartTimer` set is due."""

    name: str


class DrainBegan(Message, frozen=True):
    """The process is ending: the session has to, too, within `deadline_s`. Another may follow, and say less."""

    deadline_s: float


class WorkFailureKind(enum.Enum):
    """Why work brought no result."""

    RAISED = "raised"
    TIMED_OUT = "timed out"
    """It may still be under way: what comes of it is dropped."""
    REFUSED = "refused"
    """It was never begun: the pool has too much to do, or is closed."""


class WorkFailure(Message, frozen=True):
    """Why, and what was raised."""

    kind: WorkFailureKind
    error: BaseException | None = None


class WorkDone(Message, frozen=True):
    """The work of that key has ended: once for each `StartWork`, unless it was cancelled."""

    key: str
    result: Any = None
    failure: WorkFailure | None = None


Input = (
    ClientOpened
    | ClientTextReceived
    | ClientBinaryReceived
    | ClientOverflowed
    | ClientCaughtUp
    | ClientClosed
    | UpstreamOpened
    | UpstreamTextReceived
    | UpstreamBinaryReceived
    | UpstreamLost
    | TimerFired
    | DrainBegan
    | WorkDone
)

# Commands: what a session machine asks its translator to have done.


class SendToClient(Message, frozen=True):
    """Send a frame to the client."""

    frame: str | bytes


class ProbeClient(Message, frozen=True):
    """Ask whether the client reads; `ClientCaughtUp` is the answer, and there may be none."""


class SendToUpstream(Message, frozen=True):
    """Send a text message to the upstream of this generation; `bytes` are UTF-8 already."""

    frame: str | bytes
    generation: int


class OpenUpstream(Message, frozen=True):
    """Dial an upstream. Only `SessionSpec.dial_target` knows what `route` means.

    The machine counts the generations: the next is one more than any before. A spare is got ready while another is in
    use: the policy has no say in its loss.
    """

    generation: int
    route: str
    delay_s: float = 0.0
    is_standby: bool = False


class CloseUpstream(Message, frozen=True):
    """Close the upstream of this generation: from now on nothing is heard of it."""

    generation: int


class AbandonUpstream(Message, frozen=True):
    """Close the upstream of this generation as lost, and tell `UpstreamLost` with what the policy says."""

    generation: int
    loss: Loss


class ResetRestartBudget(Message, frozen=True):
    """A turn was completed: the restarts before it do not count any more."""


class StartTimer(Message, frozen=True):
    """Tell `TimerFired(name)` after `delay_s`, whatever was set for that name before."""

    name: str
    delay_s: float


class CancelTimer(Message, frozen=True):
    """Do not."""

    name: str


class StartWork(Message, frozen=True):
    """Have `SessionSpec.perform` take `work` on a thread of a pool, and tell `WorkDone(key, ...)`.

    In time: after `timeout_s`, waiting for a thread included, it has failed. The key is free again then. Work that
    is under way when its session ends is dropped: not begun, or its result not told.
    """

    key: str
    work: Any
    timeout_s: float
    is_preparation: bool = False
    """The session needs it before it can begin: no work of another kind that hangs is in its way."""


class CancelWork(Message, frozen=True):
    """Do not, or drop what comes of it: no `WorkDone` is told. What was begun is not stopped: nothing can."""

    key: str


class Notify(Message, frozen=True):
    """Tell an embedding application, if there is one that wants to know (`SessionSpec.tell`)."""

    notification: Any


class EndSession(Message, frozen=True):
    """Close the client with this code and reason, behind what was sent to it, and the upstream with 1000."""

    code: int
    reason: str
    linger_s: float = 0.0
    """What the client may take to read that, beyond the close handshake's own deadline."""


class Log(Message, frozen=True):
    """Write a log line with the session's id."""

    level: int
    text: str


Command = (
    SendToClient
    | ProbeClient
    | SendToUpstream
    | OpenUpstream
    | CloseUpstream
    | AbandonUpstream
    | ResetRestartBudget
    | StartTimer
    | CancelTimer
    | StartWork
    | CancelWork
    | Notify
    | EndSession
    | Log
)

Facts = dict[str, Any]
