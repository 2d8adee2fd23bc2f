"""The messages between the actors of a session: immutable, and free of either vendor's words.

Inputs are in the past tense: something happened. Commands are imperative: something shall happen. Messages between the
supervisor and its actors are in `lifecycle`. A *frame* is the content of a WebSocket message: `str` for text, `bytes`
for binary.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from actors.connections.base import ConnectionClosed
    from actors.restart import Loss, Verdict


class Message(msgspec.Struct, frozen=True):
    """A message from one actor to another."""


# Inputs: the messages that a translator hands to its session machine.


class ClientOpened(Message, frozen=True):
    """The client is connected, and its connection is open."""


class ClientAdopted(Message, frozen=True):
    """The client is connected, and another process carried its session before. This input replaces `ClientOpened`.

    The machine was restored from a snapshot of that process. Each upstream, timer and piece of work is gone.
    """

    is_planned: bool = False
    """The other process gave the session away, and did not die."""
    sent_bytes: int = 0
    """The bytes that were sent to the client after the snapshot. They are audio, because a text causes a snapshot."""
    words: str = ""
    """The words of the agent's answer that the snapshot lacks."""
    is_new_client: bool = False
    """The client has come back over another connection, on which it has received nothing."""


class ClientTextReceived(Message, frozen=True):
    """The client sent a text message."""

    text: str


class ClientBinaryReceived(Message, frozen=True):
    """The client sent bytes. A long binary message arrives in several pieces, in order."""

    data: bytes


class ClientOverflowed(Message, frozen=True):
    """The client does not read: the backlog of its connection was dropped."""

    dropped_bytes: int


class ClientCaughtUp(Message, frozen=True):
    """The client has read every message that was sent before a `ProbeClient`."""


class ClientPaused(Message, frozen=True):
    """The client is not read for the time being: its messages wait in TCP, and their absence means nothing."""


class ClientResumed(Message, frozen=True):
    """The client is read again, beginning with the messages that waited."""


class ClientClosed(Message, frozen=True):
    """The connection to the client has ended."""

    closed: ConnectionClosed


class UpstreamOpened(Message, frozen=True):
    """The upstream of this generation completed its handshake, and has sent no message yet."""

    generation: int
    position: int
    """The upstream's position in the configured list."""
    unix_s: float
    """The time on the wall clock, to be compared with the expiry that the upstream announces."""


class UpstreamTextReceived(Message, frozen=True):
    """The upstream sent a text message."""

    generation: int
    text: str


class UpstreamBinaryReceived(Message, frozen=True):
    """The upstream sent bytes."""

    generation: int
    data: bytes


class UpstreamLost(Message, frozen=True):
    """The upstream of this generation was closed, abandoned or could not be dialled.

    `verdict` is the decision of the restart policy.
    """

    generation: int
    loss: Loss
    verdict: Verdict


class TimerFired(Message, frozen=True):
    """A timer that `StartTimer` set is due."""

    name: str


class DrainBegan(Message, frozen=True):
    """The process ends, or an operator drains this session: the session has to end within `deadline_s`.

    A second `DrainBegan` may shorten the deadline.
    """

    deadline_s: float
    keeps_idle: bool = False
    """Whether a session without work in progress stays for now. A second `DrainBegan` ends it."""


class EndRequested(Message, frozen=True):
    """An operator ends the session."""


class MoveRequested(Message, frozen=True):
    """An operator paused the upstream in use: the session moves to another one between two turns."""


class WorkFailureKind(enum.Enum):
    """The ways in which work can fail."""

    RAISED = "raised"
    TIMED_OUT = "timed out"
    """The work took too long. It may still be running: its result will be dropped."""
    REFUSED = "refused"
    """The work was not begun, because the pool is full or closed."""
    LOST = "lost"
    """The process that ran the work has died. The work may have had its effect."""


class WorkFailure(Message, frozen=True):
    """The reason for which work brought no result, and the exception that it raised."""

    kind: WorkFailureKind
    error: BaseException | None = None


class WorkDone(Message, frozen=True):
    """The work with this key has ended.

    Exactly one `WorkDone` follows each `StartWork`, unless the work is cancelled, or the session ends before.
    """

    key: str
    result: Any = None
    failure: WorkFailure | None = None


Input = (
    ClientOpened
    | ClientAdopted
    | ClientTextReceived
    | ClientBinaryReceived
    | ClientOverflowed
    | ClientCaughtUp
    | ClientPaused
    | ClientResumed
    | ClientClosed
    | UpstreamOpened
    | UpstreamTextReceived
    | UpstreamBinaryReceived
    | UpstreamLost
    | TimerFired
    | DrainBegan
    | EndRequested
    | MoveRequested
    | WorkDone
)

# Commands: the effects that a session machine asks its translator for.


class SendToClient(Message, frozen=True):
    """A frame to send to the client."""

    frame: str | bytes


class ProbeClient(Message, frozen=True):
    """A question whether the client reads.

    `ClientCaughtUp` is the answer. A client that does not read gives no answer.
    """


class SendToUpstream(Message, frozen=True):
    """A message to send to the upstream of this generation. The `bytes` of a text message are UTF-8 already."""

    frame: str | bytes
    generation: int
    is_binary: bool = False
    """Whether the bytes are a binary message."""


class OpenUpstream(Message, frozen=True):
    """An upstream to dial. `SessionSpec.dial_target` alone knows the meaning of `route`.

    The machine counts the generations: each is one more than the last. A standby is dialled while another upstream is
    in use. The restart policy does not judge the loss of a standby, because the session still has an upstream.
    """

    generation: int
    route: str
    delay_s: float = 0.0
    is_standby: bool = False


class CloseUpstream(Message, frozen=True):
    """The generation of an upstream to close. No input of that generation follows."""

    generation: int


class AbandonUpstream(Message, frozen=True):
    """The generation of an upstream to close as lost. `UpstreamLost` follows, with the policy's verdict on `loss`."""

    generation: int
    loss: Loss


class ResetRestartBudget(Message, frozen=True):
    """The end of a completed turn: restarts before it do not count any more."""


class StartTimer(Message, frozen=True):
    """A timer to set: `TimerFired(name)` follows after `delay_s`. An earlier timer of the same name is replaced."""

    name: str
    delay_s: float


class CancelTimer(Message, frozen=True):
    """The name of a timer to cancel."""

    name: str


class StartWork(Message, frozen=True):
    """Work for `SessionSpec.perform` on a thread of a pool. `WorkDone(key, ...)` follows.

    After `timeout_s`, which includes the time in the pool's queue, the work counts as failed and the key is free again.
    Work that is running when its session ends cannot be stopped: its result is dropped.
    """

    key: str
    work: Any
    timeout_s: float
    is_preparation: bool = False
    """Whether the session needs the work before it can begin.

    Such work runs in the pool `Pools.setup`, where no other work can hang.
    """


class CancelWork(Message, frozen=True):
    """The key of work to cancel: no `WorkDone` follows. Work that is running continues, and its result is dropped."""

    key: str


class Notify(Message, frozen=True):
    """A notification for the session's observer, and for an application with a hook (`SessionSpec.deliver`)."""

    notification: Any


class EndSession(Message, frozen=True):
    """The end of the session. The client's connection is closed with this code and reason, the upstream's with 1000.

    The close frames follow the messages that were sent before.
    """

    code: int
    reason: str
    linger_s: float = 0.0
    """The time that the client gets to read its last messages, in addition to the deadline of the close handshake."""
    report_s: float = 0.0
    """The time that the upstream gets to report on work that was cancelled, before its connection is closed."""


class LateReport(Message, frozen=True):
    """The usage in an upstream's message that came too late for the machine: a notification to deliver, or None."""

    notification: Any = None
    is_last: bool = False
    """Whether the upstream has nothing more to report."""


class Log(Message, frozen=True):
    """A log line to write with the session's id."""

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
"""A few facts about an actor or a machine, for people and tests."""
