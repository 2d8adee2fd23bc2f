"""The sessions of one process, by a name on their client's wire, such as the id of a telephone call."""

from __future__ import annotations

import threading
from typing import Final

MAX_NAMES: Final = 100_000
"""The most names that are kept. A further name removes the oldest one. One process never carries so many sessions."""


class CallNames:
    """The ids of sessions by the names on their clients' wires. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, str] = {}

    def add(self, name: str, session_id: str) -> bool:
        """Add the name of a session. Return False if another present session has the name, and keeps it.

        A client chooses the names on its wire. A second session must not get requests that are about the first one.
        """
        with self._lock:
            if self._sessions.setdefault(name, session_id) != session_id:
                return False
            while len(self._sessions) > MAX_NAMES:
                del self._sessions[next(iter(self._sessions))]
        return True

    def find(self, name: str) -> str | None:
        """Return the id of the session with this name, or None if no present session has the name."""
        with self._lock:
            return self._sessions.get(name)

    def remove(self, name: str, session_id: str) -> None:
        """Remove the name of a session that has ended. The name of another session stays."""
        with self._lock:
            if self._sessions.get(name) == session_id:
                del self._sessions[name]
