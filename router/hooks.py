"""What an embedding application may have called: who may come in, how a session is configured, what happened in it.

Hooks run on threads of their own, each for `deadlines.hook_s` at the most. Only `authenticate` decides about a
call. Whatever else goes wrong in a hook is logged with the session's id, and the call goes on.
"""

from __future__ import annotations

import inspect
import itertools
import logging
import queue
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import msgspec

from actors import lifecycle
from actors.connections.handover import HandshakeRefused
from actors.pool import PoolClosed, PoolFull
from router.session.reports import Turn, Usage
from router.session.work import ConfigureSession

if TYPE_CHECKING:
    from actors.pool import Pool

logger = logging.getLogger(__name__)

RETRY_AFTER: Final = (("Retry-After", "1"),)
SCHEMES: Final = ("token", "bearer")
"""What clients put before their credential: Deepgram's SDKs the first, most others the second."""


class Principal(msgspec.Struct, frozen=True):
    """Who a client is, as `authenticate` found out."""

    id: str
    attributes: Mapping[str, Any] = {}
    """Whatever the application wants to know in its other hooks."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The request that asks for a session. Its `repr` shows no credential."""

    path: str
    profile: str
    """`openai` or `converse`."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case."""
    remote_address: str | None = None
    credential: str | None = None
    """Of the Authorization header, the subprotocols behind `token` or `bearer`, or the parameter `token`."""
    principal: Principal | None = None
    """Who asks, once that is known."""

    @classmethod
    def of(cls, environ: Mapping[str, Any], profile: str) -> Request:
        """Make one of what a WSGI server gives."""
        headers = {
            key[5:].replace("_", "-").lower(): str(value) for key, value in environ.items() if key.startswith("HTTP_")
        }
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        return cls(
            path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
            profile=profile,
            query=query,
            headers=headers,
            remote_address=environ.get("REMOTE_ADDR"),
            credential=_credential(headers, query),
        )

    def __repr__(self) -> str:
        return f"Request({self.path!r}, profile={self.profile!r}, principal={self.principal!r})"


def is_upgrade(environ: Mapping[str, Any]) -> bool:
    """Whether a request asks for a WebSocket at all."""
    return "websocket" in environ.get("HTTP_UPGRADE", "").lower()


def _credential(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    if scheme.lower() in SCHEMES and credential.strip():
        return credential.strip()
    offered = [part.strip() for part in headers.get("sec-websocket-protocol", "").split(",")]
    for name, behind in itertools.pairwise(offered):
        if name.lower() in SCHEMES and behind:
            return behind
    return query.get("token") or None


class SessionContext(msgspec.Struct, frozen=True, kw_only=True):
    """Which session a hook is told about."""

    id: str
    """The `request_id` of its Welcome; every log line of the session has it."""
    request: Request

    @property
    def principal(self) -> Principal | None:
        """Who the client is."""
        return self.request.principal


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a session ended."""

    duration_s: float
    code: int
    """The close code, whoever gave it; 1006 where there was none."""
    reason: str
    restarts: int
    """How many upstreams were replaced."""


Authenticate = Callable[[Request], Principal | None]
Configure = Callable[[Request, dict[str, Any]], Mapping[str, Any] | None]
OnSessionStart = Callable[[SessionContext], object]
OnSessionEnd = Callable[[SessionContext, SessionEnd], object]
OnTurn = Callable[[SessionContext, Turn], object]
OnUsage = Callable[[SessionContext, Usage], object]


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be called; None for what is not."""

    authenticate: Authenticate | None = None
    """Before the upgrade. None refuses: HTTP 401. So does what it raises, with 500, and a time-out, with 503."""
    configure: Configure | None = None
    """When the Settings are there: the request and the client's message. What it returns is laid over that, dict by
    dict; None takes a field out, lists are replaced."""
    on_session_start: OnSessionStart | None = None
    on_session_end: OnSessionEnd | None = None
    """The last that is told of a session."""
    on_turn: OnTurn | None = None
    """At the end of each of the agent's turns."""
    on_usage: OnUsage | None = None
    """For each response, and each transcript, of which the upstream says what it has cost."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            hook = getattr(self, name)
            if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
                raise ValueError(f"{name} must be a function that can be called on a thread")

    def performer(self, request: Request, perform: Callable[[Any, Principal | None], Any]) -> Callable[[Any], Any]:
        """Make what does the work of one session: `configure`, or what `perform` does."""
        configure, principal = self.configure, request.principal
        if configure is None:
            return lambda work: perform(work, principal)  # and the request is forgotten

        def do(work: Any) -> Any:
            if not isinstance(work, ConfigureSession):
                return perform(work, principal)
            try:
                return configure(request, work.settings)
            except Exception:
                logger.exception("configure failed")  # here is the traceback; the session says what follows from it
                raise

        return do

    @property
    def wants_notifications(self) -> bool:
        """Whether the session itself has anything to tell of."""
        return self.on_turn is not None or self.on_usage is not None

    def deliverer(self, context: SessionContext) -> Callable[[Any], None] | None:
        """Make what tells of one session (`SessionSpec.tell`); None where nobody listens."""
        wants_to_hear = (self.on_session_start, self.on_session_end, self.on_turn, self.on_usage)
        return partial(self._tell, context) if any(wants_to_hear) else None

    def _tell(self, context: SessionContext, notification: Any) -> None:
        match notification:
            case lifecycle.SessionStarted() if self.on_session_start is not None:
                self.on_session_start(context)
            case lifecycle.SessionEnded(_, duration_s, code, reason, restarts) if self.on_session_end is not None:
                end = SessionEnd(duration_s=duration_s, code=code, reason=reason, restarts=restarts)
                self.on_session_end(context, end)
            case Turn() if self.on_turn is not None:
                self.on_turn(context, notification)
            case Usage() if self.on_usage is not None:
                self.on_usage(context, notification)

    def admit(self, session_id: str, request: Request, pool: Pool, timeout_s: float) -> Request:
        """Ask who the client is; the request with that. Blocks for `timeout_s` at the most.

        Raises:
            HandshakeRefused: it is nobody who may come in, or nobody can tell.
        """
        if self.authenticate is None:
            return request
        answers: queue.SimpleQueue[Principal | BaseException | None] = queue.SimpleQueue()
        job = pool.submit(partial(self.authenticate, request), answers.put)
        try:
            answer = answers.get(timeout=timeout_s)
        except queue.Empty:
            job.withdraw()
            logger.error("session %s: authenticate timed out after %g s", session_id, timeout_s)  # noqa: TRY400
            raise _auth_failed() from None
        return msgspec.structs.replace(request, principal=_judged(session_id, answer))


def _judged(session_id: str, answer: Principal | BaseException | None) -> Principal:
    if isinstance(answer, Principal):
        return answer
    if answer is None:
        why = "who you are is not known here"
        raise HandshakeRefused(HTTPStatus.UNAUTHORIZED, why, (("WWW-Authenticate", "Bearer"),))
    if isinstance(answer, PoolFull | PoolClosed):
        logger.error("session %s: authenticate was not called: %s", session_id, answer)
        raise _auth_failed()
    error = answer if isinstance(answer, BaseException) else _odd(answer)
    logger.error("session %s: authenticate failed", session_id, exc_info=error)
    raise HandshakeRefused(HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; it has been logged")


def _odd(answer: object) -> TypeError:
    # Not what it is: whoever returns something else may return what was decoded of a credential.
    return TypeError(f"it returned no Principal but a {type(answer).__name__}")


def _auth_failed() -> HandshakeRefused:
    why = "who you are cannot be found out at the moment"
    return HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, why, RETRY_AFTER)
