"""The supervisor's record of one session. It knows references and the restart history, and sends nothing by itself."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Any, Final

from actors import lifecycle, messages, restart

if TYPE_CHECKING:
    from actors.actor import Ref
    from actors.dispatcher import Dispatcher
    from actors.spec import SessionSpec


class SessionState(enum.Enum):
    """The state of a session, as the supervisor sees it."""

    LIVE = "live"
    ENDING = "ending"


_NO_ACTORS: Final[frozenset[lifecycle.ActorKey]] = frozenset()
"""The empty set that all sessions share: a separate one takes 216 bytes."""

DRAINING: Final = "draining"
"""The state that an operator sees for a live session that ends after the turn in progress."""


class SessionRecord:
    """One session, as the supervisor knows it. Only the supervisor's thread uses this record."""

    __slots__ = (
        "client",
        "dispatcher",
        "ended",
        "ending",
        "generation",
        "has_departed",
        "history",
        "is_draining",
        "running",
        "spec",
        "standbys",
        "started_s",
        "state",
        "translator",
        "upstreams",
    )

    def __init__(self, spec: SessionSpec, dispatcher: Dispatcher) -> None:
        self.spec = spec
        self.dispatcher = dispatcher
        self.state = SessionState.LIVE
        self.is_draining = False
        """Whether the session ends after the turn in progress. Such a session replaces no lost upstream."""
        self.has_departed = False
        """Whether another process continues the session."""
        self.generation = 0
        """The generation of the newest upstream."""
        self.history = restart.History()
        self.ending: tuple[int, str] | None = None
        """The close code and reason of the side that ended the session first: the client's, or the router's."""
        self.started_s = time.monotonic()
        self.client: Ref | None = None
        self.translator: Ref | None = None
        self.upstreams: dict[int, Ref] = {}
        """The upstreams that have not ended, by generation."""
        self.standbys: frozenset[int] = lifecycle.NO_GENERATIONS
        """The generations that were dialled while another one was in use.

        The restart policy does not judge their loss.
        """
        self.running: tuple[lifecycle.ActorKey, ...] = ()
        """The actors that have not stopped."""
        self.ended: frozenset[lifecycle.ActorKey] = _NO_ACTORS
        """The actors whose end is known or expected. When such an actor stops, the supervisor does nothing more."""

    @property
    def is_live(self) -> bool:
        """Whether the session has not begun to end."""
        return self.state is SessionState.LIVE

    def note_stopped(self, key: lifecycle.ActorKey) -> None:
        """Record that an actor has stopped."""
        self.running = tuple(it for it in self.running if it != key)

    def tell(self, ref: Ref | None, message: messages.Message) -> None:
        """Send a message to one of the session's actors; drop it if `ref` is None."""
        if ref is not None:
            ref.offer(message)

    def log_fields(self, generation: int | None = None) -> dict[str, Any]:
        """Return the fields of a log line about the session, or about one of its upstreams."""
        newest = self.generation if generation is None else generation
        return {"session": self.spec.session_id, **self.spec.log_fields, "generation": newest}

    def info(self) -> lifecycle.SessionInfo:
        """Return the facts that `ListSessions` asks for."""
        age_s = time.monotonic() - self.started_s
        restarts = self.history.restarts
        state = DRAINING if self.is_draining and self.state is SessionState.LIVE else self.state.value
        return lifecycle.SessionInfo(self.spec.session_id, state, self.generation, restarts, age_s, self.log_fields())
