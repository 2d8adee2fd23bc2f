"""One session as the engine sees it: what is needed to run it, and what the supervisor remembers of it."""

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
    """Where the supervisor sees a session."""

    LIVE = "live"
    ENDING = "ending"


class SessionRecord:
    """What the supervisor remembers of one session. On its thread only."""

    def __init__(self, spec: SessionSpec, dispatcher: Dispatcher) -> None:
        self.spec = spec
        self.dispatcher = dispatcher
        self.state = SessionState.LIVE
        self.generation = 0
        """The newest."""
        self.history = restart.History()
        self.ending: tuple[int, str] | None = None
        """Close code and reason, whoever said them first."""
        self.started_s = time.monotonic()
        self.client: Ref | None = None
        self.translator: Ref | None = None
        self.upstreams: dict[int, Ref] = {}
        """By generation, those that have not ended."""
        self.standbys: set[int] = set()
        self.running: set[tuple[str, int]] = set()
        """Role and generation of each actor that has not stopped."""
        self.told: set[tuple[str, int]] = set()
        """Those of them whose connection's end was told: their stop is no surprise."""

    def tell(self, ref: Ref | None, message: messages.Message) -> None:
        """Tell one of its actors, if there is one."""
        if ref is not None:
            ref.offer(message)

    def info(self) -> lifecycle.SessionInfo:
        """What is told of it."""
        age_s = time.monotonic() - self.started_s
        restarts = self.history.restarts
        return lifecycle.SessionInfo(self.spec.session_id, self.state.value, self.generation, restarts, age_s)
