"""Messages between the supervisor and its actors: immutable, like all that actors tell each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.messages import Message

if TYPE_CHECKING:
    import threading

    from actors.actor import Ref
    from actors.connections.base import Connection, ConnectionClosed
    from actors.connections.upstream import DialError, DialTarget
    from actors.restart import Loss
    from actors.spec import SessionSpec

# Lifecycle: between the supervisor and its actors.


class StartSession(Message, frozen=True):
    """Start the trio of a session over a connection that is open already."""

    spec: SessionSpec
    connection: Connection

    @property
    def session_id(self) -> str:
        """The session's."""
        return self.spec.session_id


class AttachClient(Message, frozen=True):
    """From now on this is the session's client."""

    client: Ref


class AttachTranslator(Message, frozen=True):
    """From now on what arrives goes to this translator."""

    translator: Ref


class AttachUpstream(Message, frozen=True):
    """From now on this is the session's upstream of that generation."""

    upstream: Ref
    generation: int


class Dial(Message, frozen=True):
    """Dial, and be the session's upstream."""

    target: DialTarget
    position: int


class DialSucceeded(Message, frozen=True):
    """The connector has a connection for its asker."""

    connection: Connection


class DialFailed(Message, frozen=True):
    """The connector has none."""

    error: DialError


class CloseConnection(Message, frozen=True):
    """Close the connection that the actor owns, and stop when it is closed; see `Connection.close`."""

    code: int
    reason: str
    linger_s: float = 0.0


class PauseReading(Message, frozen=True):
    """The other leg is behind: let the peer feel it."""


class ResumeReading(Message, frozen=True):
    """The other leg has caught up."""


class ContinueReading(Message, frozen=True):
    """Go on with what is left of a long message (an actor tells this to itself)."""


class UpstreamRequested(Message, frozen=True):
    """A session asks for an upstream."""

    session_id: str
    generation: int
    route: str
    delay_s: float
    is_standby: bool


class UpstreamReleased(Message, frozen=True):
    """A session has done with an upstream."""

    session_id: str
    generation: int


class UpstreamEnded(Message, frozen=True):
    """A session's upstream ended, could not be dialled, or was abandoned."""

    session_id: str
    generation: int
    loss: Loss


class TurnCompleted(Message, frozen=True):
    """A session completed a turn."""

    session_id: str


class Notification(Message, frozen=True):
    """A session has news for the embedding application."""

    session_id: str
    notification: Any


class ClientEnded(Message, frozen=True):
    """A session's client is gone."""

    session_id: str
    closed: ConnectionClosed


class SessionEnding(Message, frozen=True):
    """A session machine decided to end."""

    session_id: str
    code: int
    reason: str
    linger_s: float


class ActorStopped(Message, frozen=True):
    """One of a session's actors has stopped; `role` is its class's."""

    session_id: str
    role: str
    generation: int


class ActorFailed(Message, frozen=True):
    """One of a session's actors failed: an exception in a handler, logged already."""

    session_id: str
    role: str
    generation: int


class Drain(Message, frozen=True):
    """Have every session end within `deadline_s`, start no other, and set `drained` when none is left.

    May be told again, to leave less time.
    """

    drained: threading.Event
    deadline_s: float


class ListSessions(Message, frozen=True):
    """Answer with the sessions that there are: a list of `SessionInfo`."""


class FindActors(Message, frozen=True):
    """Answer with the actors of a session: a dict, `client`, `translator` and `upstream N` to references."""

    session_id: str


class SessionInfo(Message, frozen=True):
    """One live session, as the supervisor knows it."""

    session_id: str
    state: str
    generation: int
    restarts: int
    age_s: float


class SessionStarted(Message, frozen=True):
    """News for the embedding application: a session began."""

    session_id: str


class SessionEnded(Message, frozen=True):
    """News for the embedding application: nothing is left of a session. The last that is told of it."""

    session_id: str
    duration_s: float
    code: int
    """The close code, ours or the client's; 1006 where there was none."""
    reason: str
    restarts: int
    """How many upstreams were replaced."""


class Describe(Message, frozen=True):
    """Answer with a few facts about the actor: a mapping (for people and tests)."""
