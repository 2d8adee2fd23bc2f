"""The messages between the supervisor and its actors, and those that ask an actor about itself: immutable."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actors.messages import ClientAdopted, Message

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from actors.actor import Ref
    from actors.connections.base import Connection, ConnectionClosed, Detached
    from actors.connections.upstream import DialError, DialTarget
    from actors.restart import Loss
    from actors.spec import SessionSpec


class Role(enum.Enum):
    """The part of a session that an actor plays. The supervisor belongs to no session."""

    CLIENT = "client"
    TRANSLATOR = "translator"
    UPSTREAM = "upstream"


ActorKey = tuple[Role, int]
"""One actor of a session: its role, and the generation of an upstream, or 0."""

NO_GENERATIONS: Final[frozenset[int]] = frozenset()
"""The empty set that all sessions share. A separate one takes 216 bytes, even an empty frozenset."""


# A session begins.


class StartSession(Message, frozen=True):
    """The order to start a session's three actors over a client connection that is open already."""

    spec: SessionSpec
    connection: Connection
    adopted: ClientAdopted | None = None
    """The machine's first input, if another process carried the session before."""

    @property
    def session_id(self) -> str:
        """The session's id, which the other messages have as a field."""
        return self.spec.session_id


class AttachClient(Message, frozen=True):
    """A reference to the session's client actor, for its translator."""

    client: Ref


class AttachTranslator(Message, frozen=True):
    """A reference to the session's translator, for its client actor, which reads its connection from now on."""

    translator: Ref


class AttachUpstream(Message, frozen=True):
    """A reference to the session's upstream actor of this generation, for its translator."""

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
    """The error with which a dial of the connector failed."""

    error: DialError


# A leg is closed or paused.


class CloseConnection(Message, frozen=True):
    """The close code and reason for the actor's connection; see `Connection.close`.

    The actor stops when the connection is closed.
    """

    code: int
    reason: str
    linger_s: float = 0.0
    report_s: float = 0.0
    """The seconds that an upstream gets to report on cancelled work before its connection is closed."""


class GiveWay(Message, frozen=True):
    """The order to close the connection of the session's client.

    All sessions together hold too much memory, and this session holds the most.
    """


class MeasureMemory(Message, frozen=True):
    """The order to the translator to note how many bytes the session machine keeps.

    A leg sends it after it has passed many bytes on.
    """


class PauseReading(Message, frozen=True):
    """The other leg is slow: stop reading, so that TCP slows the peer down."""


class ResumeReading(Message, frozen=True):
    """The other leg has caught up: read again."""


class ContinueReading(Message, frozen=True):
    """A leg's message to itself, before it passes on the next pieces of a long message.

    A paused leg also sends it, in order to ask whether the translator has caught up.
    """


# A session reports to the supervisor.


class UpstreamRequested(Message, frozen=True):
    """A session machine requested an upstream."""

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
    report_s: float = 0.0


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
    """The order to end every session within `deadline_s`.

    When no session and no undelivered notification is left, `drained` is set. A second order may shorten the deadline.
    """

    drained: threading.Event
    deadline_s: float


class ListSessions(Message, frozen=True):
    """A question about all sessions. The answer is a list of `SessionInfo`."""


class EndOne(Message, frozen=True):
    """The order of an operator to end a session. The answer is whether there is such a session."""

    session_id: str


class DrainOne(Message, frozen=True):
    """The order of an operator to end a session within `deadline_s`. The answer is whether there is such a session."""

    session_id: str
    deadline_s: float


class LeaveUpstream(Message, frozen=True):
    """The order to move each session that uses the paused upstream at `position`, and that can go to another upstream.

    The answer is the number of these sessions.
    """

    position: int


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
    log_fields: Mapping[str, Any] = {}
    """The fields of the session's log lines."""


# A session departs to another process.


class Departure(Message, frozen=True):
    """A session on its way to another process: its snapshot, and the stream of its client."""

    session_id: str
    value: bytes
    """The snapshot of the session (`Carried.snapshot`)."""
    stream: Detached


class Announcement(Message, frozen=True):
    """A session that departs soon: another process may dial its next upstream in advance."""

    session_id: str
    facts: bytes
    """The facts for the dial (`Carried.announcement`)."""
    route: str
    """The route of the upstream (`OpenUpstream.route`)."""
    on_ready: Callable[[], None]
    """A function to call when the other process has dialled, or has failed to. Any thread may call it."""


class Exit(NamedTuple):
    """Two functions that move a session to another process. Each function is called on the session's dispatcher."""

    deliver: Callable[[Departure], None]
    """The function that moves a session that is ready to leave this process."""
    announce: Callable[[Announcement], None] | None = None
    """The function that is called shortly before `deliver`, so that the other process dials an upstream in advance.

    It is None if no process dials in advance.
    """


class LetDepart(Message, frozen=True):
    """The order to let sessions depart in the next drain."""

    by: Exit


class Depart(Message, frozen=True):
    """The order to a client actor to move its session to another process.

    The session moves between two turns. With `is_due` it does not wait for the end of a turn.
    """

    by: Exit
    is_due: bool = False


class AskToDepart(Message, frozen=True):
    """A client actor's question to its translator: may the session depart now?

    The translator reads the question after all messages that the client actor has passed on. `is_due` means that the
    drain ends soon.
    """

    is_due: bool
    announce: Callable[[Announcement], None] | None = None


class AskAgain(Message, frozen=True):
    """A notification: the other process has dialled an upstream for the session.

    So the client actor may ask its translator again, without waiting for its timer.
    """


class DepartLater(Message, frozen=True):
    """The translator's answer: the session does not depart now, because it is in a turn, or waits for a dial.

    With `is_never` it stays in this process for good.
    """

    is_never: bool = False


class DepartNow(Message, frozen=True):
    """The translator's answer: the snapshot of the session, which handles no input any more."""

    value: bytes


class CannotDepart(Message, frozen=True):
    """The session stays in this process.

    Either no snapshot of the session can be written, or its client's stream is tied to this process.
    """

    session_id: str


class ClientDeparted(Message, frozen=True):
    """The session has departed, and its client's stream with it."""

    session_id: str


class SessionStarted(Message, frozen=True):
    """A notification for the embedding application: a session began."""

    session_id: str


class SessionAdopted(Message, frozen=True):
    """The beginning of a session in this process, after another process carried it.

    The application is not notified a second time that the session began.
    """

    session_id: str


class SessionMoved(Message, frozen=True):
    """The end of a session in this process, because another process continues it. No `SessionEnded` follows."""

    session_id: str
    duration_s: float
    restarts: int


class SessionEnded(Message, frozen=True):
    """The last notification of a session for the embedding application: all actors of the session have stopped."""

    session_id: str
    duration_s: float
    code: int
    """The close code of the side that closed first, the router or the client; 1006 if neither did."""
    reason: str
    restarts: int
    """The number of lost upstreams that another upstream replaced."""
