"""The verdict of the application's hook `authenticate`, which runs on a pool's thread.

The handshake waits for the hook only until a deadline.
"""

from __future__ import annotations

import logging
import queue
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from actors.connections.handover import HandshakeRefused
from actors.pool import PoolClosed, PoolFull
from router.access.request import Principal

if TYPE_CHECKING:
    from actors.pool import Pool
    from router.access.request import Authenticate, Request

logger = logging.getLogger(__name__)

RETRY_SOON: Final = (("Retry-After", "1"),)
"""The header of a refusal whose cause will probably end within seconds."""


def verdict_of(
    authenticate: Authenticate, request: Request, pool: Pool, *, session_id: str, timeout_s: float
) -> Principal | None:
    """Call the hook on a thread of `pool`, and return its verdict: a principal, or None for a refusal.

    The call blocks at most `timeout_s`.

    Raises:
        HandshakeRefused: 500 if the hook failed; 503 if the hook gave no verdict in time, or the pool took no
            call.
    """
    verdicts: queue.SimpleQueue[Principal | BaseException | None] = queue.SimpleQueue()
    job = pool.submit(partial(authenticate, request), verdicts.put)
    try:
        verdict = verdicts.get(timeout=timeout_s)
    except queue.Empty:
        job.withdraw()  # a hook that still waits for a thread is not called; a running hook cannot be stopped
        logger.error("session %s: authenticate timed out after %g s", session_id, timeout_s)  # noqa: TRY400
        raise _unavailable() from None
    if verdict is None or isinstance(verdict, Principal):
        return verdict
    if isinstance(verdict, PoolFull | PoolClosed):
        logger.error("session %s: authenticate was not called: %s", session_id, verdict)
        raise _unavailable()
    error = verdict if isinstance(verdict, BaseException) else _wrong_type(verdict)
    logger.error("session %s: authenticate failed", session_id, exc_info=error)
    raise HandshakeRefused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error in authentication; the server logged it")


def _wrong_type(verdict: object) -> TypeError:
    # The message contains only the type, because the wrong object may be a decoded credential.
    return TypeError(f"authenticate must return a Principal or None, not a {type(verdict).__name__}")


def _unavailable() -> HandshakeRefused:
    problem = "authentication is unavailable at the moment; try again"
    return HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, RETRY_SOON)
