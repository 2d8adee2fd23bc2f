"""The supervisor's record of one session. It knows references and the restart history, and sends nothing by itself."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING

from actors import lifecycle, messages, restart

if TYPE_CHECKING:
    from actors.actor import Ref
    from actors.dispatcher import Dispatcher
    from actors.spec import SessionSpec


class SessionState(enum.Enum):
    """The state of a session, as the supervisor sees it."""

    LIVE = "live"
    ENDING = "ending"


class SessionRecord:
    """One session, as the supervisor knows it. On the supervisor's thread only."""

    def __init__(self, spec: SessionSpec, dispatcher: Dispatcher) -> None:
        self.spec = spec
        self.dispatcher = dispatcher
        self.state = SessionState.LIVE
        self.generation = 0
        """The newest generation."""
        self.history = restart.History()
        self.ending: tuple[int, str] | None = None
        """Close code and reason, of the client or ours: of the side that ended first."""
        self.started_s = time.monotonic()
        self.client: Ref | None = None
        self.translator: Ref | None = None
        self.upstreams: dict[int, Ref] = {}
        """The upstreams that have not ended, by generation."""
        self.standbys: set[int] = set()
        """The generations that were dialled while another was in use: the restart policy does not judge their loss."""
        self.running: set[lifecycle.ActorKey] = set()
        """The actors that have not stopped."""
        self.ended: set[lifecycle.ActorKey] = set()
        """The actors whose end is known or wanted: when they stop, nothing follows from it."""

    def tell(self, ref: Ref | None, message: messages.Message) -> None:
        """Send a message to one of its actors, if there is one."""
        if ref is not None:
            ref.offer(message)

    def info(self) -> lifecycle.SessionInfo:
        """Return the facts that `ListSessions` asks for."""
        age_s = time.monotonic() - self.started_s
        restarts = self.history.restarts
        return lifecycle.SessionInfo(self.spec.session_id, self.state.value, self.generation, restarts, age_s)
