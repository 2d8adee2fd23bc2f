"""The lost calls of one process. Their snapshots are kept for a while, for clients that come back."""

from __future__ import annotations

import functools
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from actors.pool import Pool
from router.access.redis_counts import client_of
from router.access.signing import signing_key
from router.metrics.catalog import RESUMES
from router.resume.area import MOST_BYTES, SharedSnapshots, TooLargeError
from router.resume.tokens import PARAMETER, session_of, token_of

if TYPE_CHECKING:
    from router.access.request import Request
    from router.config.model import RouterConfig
    from router.metrics.metrics import Metrics
    from router.resume.remote import RemoteSnapshots

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 1024
"""The most snapshots that wait for the thread. A drain may close many calls at once."""
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""The most bytes that wait for the thread, if Redis is slow."""
MOST_REMOTE_BYTES: Final = 512 * 1024
"""The size of the largest snapshot that Redis keeps. Speech that was not transcribed makes a snapshot large."""
LATE_S: Final = 0.5
"""The longest wait in seconds for a snapshot that the thread has not stored yet: a client may come back sooner."""
POLL_S: Final = 0.02
CLOSE_S: Final = 2.0


NEW: Final = "new"
"""The value of the URL's parameter `resume` if the client asks for a token, and has none yet."""


def asks_for_token(request: Request) -> bool:
    """Whether the `Welcome` of a request gets a token.

    Deepgram's typed clients declare the fields of `Welcome`. So only a client that asks gets the additional field.
    """
    return PARAMETER in request.query


class Resumption:
    """The snapshots, the thread that stores them, and the tokens. Methods may be called from any thread."""

    def __init__(self, config: RouterConfig, metrics: Metrics, shared: SharedSnapshots | None = None) -> None:
        self._keep_s = config.limits.resume_s
        self._key = signing_key(config, "resume")
        self._metrics = metrics
        self._shared = shared
        self._making = threading.Lock()
        self._remote: RemoteSnapshots | None = None
        if config.limits.store:
            from router.resume.remote import RemoteSnapshots  # noqa: PLC0415 - it loads cryptography

            self._remote = RemoteSnapshots(functools.partial(client_of, config.limits), signing_key(config, "resumed"))
        self._pool = Pool("resume", 1, max_waiting=MAX_WAITING)
        self._changed = threading.Condition()
        self._unfinished = 0
        self._waiting_bytes = 0

    @property
    def is_on(self) -> bool:
        """Whether calls are kept."""
        return self._keep_s > 0

    def welcome(self, text: str | None, session_id: str, principal: str | None, *, is_back: bool) -> str | None:
        """Return the first text for a client, with the token of its session.

        `is_back` says that its session continues.
        """
        if text is None or not self.is_on:
            return text
        return orjson.dumps({**orjson.loads(text), **self.greeting(session_id, principal, is_back=is_back)}).decode()

    def greeting(self, session_id: str, principal: str | None, *, is_back: bool) -> dict[str, Any]:
        """Return the fields of a session's first event that tell the client its token.

        `is_back` says that its session continues.
        """
        token = token_of(self._key, session_id, principal)
        return {"resume_token": token, **({"resumed": True} if is_back else {})}

    def keep(self, session_id: str, data: bytes) -> None:
        """Keep the snapshot of a lost call, unless it is too large, or too many snapshots wait. Do not block."""
        size = len(data)
        if size > (MOST_BYTES if self._remote is None else MOST_REMOTE_BYTES):
            self._metrics.add(RESUMES, ("too large",))
            return
        with self._changed:
            has_room = self._waiting_bytes + size <= MAX_WAITING_BYTES
            if has_room:
                self._unfinished += 1
                self._waiting_bytes += size
        if has_room:
            self._pool.submit(functools.partial(self._store, session_id, data), functools.partial(self._stored, size))
        else:
            self._metrics.add(RESUMES, ("failed",))

    def take(self, request: Request) -> bytes | None:
        """Return the snapshot that a request asks for; None if it asks for none, has no right to it, or none is kept.

        The call blocks.
        """
        token = request.query.get(PARAMETER)
        if token in (None, "", NEW) or not self.is_on:
            return None
        principal = request.principal.id if request.principal is not None else None
        session_id = session_of(self._key, str(token), principal)
        found = self._wait_for(session_id) if session_id is not None else None
        self._metrics.add(RESUMES, ("resumed" if found is not None else "unknown",))
        return found

    def close(self) -> None:
        """Store the snapshots that wait, and stop the thread."""
        until_s = time.monotonic() + CLOSE_S
        with self._changed:
            self._changed.wait_for(lambda: not self._unfinished, max(0.0, until_s - time.monotonic()))
        self._pool.close()

    def _wait_for(self, session_id: str) -> bytes | None:
        until_s = time.monotonic() + LATE_S
        while (found := self._find(session_id)) is None and time.monotonic() < until_s:
            time.sleep(POLL_S)
        return found

    def _find(self, session_id: str) -> bytes | None:
        found = self._area().take(session_id)
        if found is not None or self._remote is None:
            return found
        try:
            return self._remote.take(session_id)
        except Exception as error:  # noqa: BLE001 - errors of Redis's client: a new call begins
            logger.warning("Redis gave no snapshot: %s", error)
            return None

    def _store(self, session_id: str, data: bytes) -> None:
        if self._remote is not None:
            try:
                self._remote.put(session_id, data, self._keep_s)
            except Exception as error:  # noqa: BLE001 - the client's errors
                logger.warning("Redis took no snapshot, so this server alone keeps it: %s", error)
            else:
                self._metrics.add(RESUMES, ("kept",))
                return
        if self._area().put(session_id, data, self._keep_s):
            self._metrics.add(RESUMES, ("kept",))
        else:
            self._metrics.add(RESUMES, ("displaced",))

    def _stored(self, size: int, result: object) -> None:
        if isinstance(result, TooLargeError):
            self._metrics.add(RESUMES, ("too large",))
        elif isinstance(result, BaseException):
            logger.warning("a lost call is not kept: %s", result)
            self._metrics.add(RESUMES, ("failed",))
        with self._changed:
            self._unfinished -= 1
            self._waiting_bytes -= size
            self._changed.notify_all()

    def _area(self) -> SharedSnapshots:
        # Two memories would lose a call: its client may ask while the thread stores the first snapshot.
        with self._making:
            if self._shared is None:
                self._shared = SharedSnapshots()
            return self._shared
