"""The messages between the supervisor and its actors, and those that ask an actor about itself: immutable."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from actors.messages import Message

if TYPE_CHECKING:
    import threading

    from actors.actor import Ref
    from actors.connections.base import Connection, ConnectionClosed
    from actors.connections.upstream import DialError, DialTarget
    from actors.restart import Loss
    from actors.spec import SessionSpec


class Role(enum.Enum):
    """The part of a session that an actor plays. The supervisor is of no session."""

    CLIENT = "client"
    TRANSLATOR = "translator"
    UPSTREAM = "upstream"


ActorKey = tuple[Role, int]
"""One actor of a session: its role, and its generation where it is an upstream, 0 otherwise."""


# A session begins.


class StartSession(Message, frozen=True):
    """The trio of a session to start over a connection that is open already."""

    spec: SessionSpec
    connection: Connection

    @property
    def session_id(self) -> str:
        """The session's id, as in the other messages."""
        return self.spec.session_id


class AttachClient(Message, frozen=True):
    """The session's client, for its translator."""

    client: Ref


class AttachTranslator(Message, frozen=True):
    """The session's translator, for its client: from now on the connection is read."""

    translator: Ref


class AttachUpstream(Message, frozen=True):
    """The session's upstream of that generation, for its translator."""

    upstream: Ref
    generation: int


# An upstream is dialled.


class Dial(Message, frozen=True):
    """The target that an upstream actor shall dial, and its position in the configured list."""

    target: DialTarget
    position: int


class DialSucceeded(Message, frozen=True):
    """The connection that the connector has dialled."""

    connection: Connection


class DialFailed(Message, frozen=True):
    """The reason for which the connector has no connection."""

    error: DialError


# A leg is closed or paused.


class CloseConnection(Message, frozen=True):
    """The close code and reason for the actor's connection; see `Connection.close`.

    The actor stops when the connection is closed.
    """

    code: int
    reason: str
    linger_s: float = 0.0


class PauseReading(Message, frozen=True):
    """The other leg is slow: stop reading, so that TCP slows the peer down."""


class ResumeReading(Message, frozen=True):
    """The other leg has caught up: read again."""


class ContinueReading(Message, frozen=True):
    """The next pieces of a long message are due. A client actor sends this to itself."""


# A session reports to the supervisor.


class UpstreamRequested(Message, frozen=True):
    """A session machine asked for an upstream."""

    session_id: str
    generation: int
    route: str
    delay_s: float
    is_standby: bool


class UpstreamReleased(Message, frozen=True):
    """A session machine does not need an upstream any more."""

    session_id: str
    generation: int


class UpstreamEnded(Message, frozen=True):
    """A session's upstream was closed, abandoned or could not be dialled."""

    session_id: str
    generation: int
    loss: Loss


class TurnCompleted(Message, frozen=True):
    """A session completed a turn."""

    session_id: str


class Notification(Message, frozen=True):
    """A session has a notification for the embedding application."""

    session_id: str
    notification: Any


class ClientEnded(Message, frozen=True):
    """The connection to a session's client has ended."""

    session_id: str
    closed: ConnectionClosed


class SessionEnding(Message, frozen=True):
    """A session machine decided to end."""

    session_id: str
    code: int
    reason: str
    linger_s: float


class _ActorEnd(Message, frozen=True):
    """The end of one of a session's actors."""

    session_id: str
    role: Role
    generation: int = 0

    @property
    def key(self) -> ActorKey:
        """The actor, as `SessionRecord` knows it."""
        return self.role, self.generation


class ActorStopped(_ActorEnd, frozen=True):
    """One of a session's actors has stopped."""


class ActorFailed(_ActorEnd, frozen=True):
    """One of a session's actors failed: an exception in a handler, which is logged already."""


# Questions and orders from outside.


class Drain(Message, frozen=True):
    """The order to end every session within `deadline_s`, and to set `drained` when none is left.

    A second one may shorten the deadline.
    """

    drained: threading.Event
    deadline_s: float


class ListSessions(Message, frozen=True):
    """A question: the answer is a list of `SessionInfo`."""


class FindActors(Message, frozen=True):
    """A question for the actors of a session. The answer maps `client`, `translator` and `upstream N` to references."""

    session_id: str


class Describe(Message, frozen=True):
    """A question for a few facts about an actor. The answer maps names to values, `role` among them."""


# Answers, and notifications for the embedding application.


class SessionInfo(Message, frozen=True):
    """One session, as the supervisor knows it."""

    session_id: str
    state: str
    generation: int
    restarts: int
    age_s: float


class SessionStarted(Message, frozen=True):
    """A notification for the embedding application: a session began."""

    session_id: str


class SessionEnded(Message, frozen=True):
    """A notification for the embedding application, a session's last: nothing is left of it."""

    session_id: str
    duration_s: float
    code: int
    """The close code, ours or the client's; 1006 where there was none."""
    reason: str
    restarts: int
    """The number of upstreams that were replaced."""
