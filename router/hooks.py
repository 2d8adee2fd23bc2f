"""The hooks of an embedding application: authentication, configuration of a session, notifications of its events.

Hooks run on separate threads. The router waits for each call of a hook at most `deadlines.hook_s`. Only `authenticate`
(`router.access`) can refuse a call. A failure of any other hook is logged with the session's id, and the call
continues.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors import lifecycle
from router.access.request import Authenticate, Principal, Request
from router.session.reports import Tagged, Turn, Usage
from router.session.work import ConfigureSession

logger = logging.getLogger(__name__)


class SessionContext(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about the session of a notification."""

    id: str
    """The id of the session: the `request_id` of the client's Welcome. Every log line of the session has the id."""
    request: Request
    tags: tuple[str, ...] = ()
    """The `tags` of the client's Settings; empty before the Settings."""

    @property
    def principal(self) -> Principal | None:
        """The identity of the client."""
        return self.request.principal


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a session."""

    duration_s: float
    code: int
    """The close code of the side that closed first; 1006 if the connection broke without one."""
    reason: str
    restarts: int
    """The number of lost upstreams that were replaced."""


Configure = Callable[[Request, dict[str, Any]], Mapping[str, Any] | None]
OnSessionStart = Callable[[SessionContext], object]
OnSessionEnd = Callable[[SessionContext, SessionEnd], object]
OnTurn = Callable[[SessionContext, Turn], object]
OnUsage = Callable[[SessionContext, Usage], object]


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """The hooks of an application. A hook that the application does not have is None."""

    authenticate: Authenticate | None = None
    """The hook that returns the client's identity before the upgrade.

    The router refuses the handshake if the hook returns None, raises or times out.
    """
    configure: Configure | None = None
    """The hook that changes a client's Settings. It gets the request and the Settings.

    Its result is merged over the Settings, dict by dict: None removes a field, and a list replaces the client's list.
    """
    on_session_start: OnSessionStart | None = None
    on_session_end: OnSessionEnd | None = None
    """The last hook of a session, called after its end."""
    on_turn: OnTurn | None = None
    """The hook for the end of each turn of the agent."""
    on_usage: OnUsage | None = None
    """The hook for each response, and each transcript, whose usage the upstream reports."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            hook = getattr(self, name)
            # No event loop runs here, so a coroutine would never be awaited.
            if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
                raise ValueError(f"{name} must be a plain function, which is called on a thread")

    def performer(self, request: Request, perform: Callable[[Any, Principal | None], Any]) -> Callable[[Any], Any]:
        """Return the function that does a session's work.

        It calls `configure` for Settings, and `perform` for other work.
        """
        configure, principal = self.configure, request.principal
        if configure is None:
            # The object holds only the principal, so that the headers of the request are freed.
            return _Performing(perform, principal)

        def perform_or_configure(work: Any) -> Any:
            if not isinstance(work, ConfigureSession):
                return perform(work, principal)
            try:
                return configure(request, work.settings)
            except Exception:
                logger.exception("configure failed")  # the session logs the consequence, without the traceback
                raise

        return perform_or_configure

    @property
    def delivered(self) -> tuple[type, ...]:
        """The classes of the notifications for which there is a hook."""
        kinds = {
            lifecycle.SessionStarted: self.on_session_start,
            lifecycle.SessionEnded: self.on_session_end,
            Turn: self.on_turn,
            Usage: self.on_usage,
        }
        taken = tuple(kind for kind, hook in kinds.items() if hook is not None)
        # The tags are needed for every later notification.
        return (*taken, Tagged) if taken else ()

    @property
    def wants_notifications(self) -> bool:
        """Whether the session machine has to report turns and usage."""
        return self.on_turn is not None or self.on_usage is not None

    def deliverer(self, context: SessionContext) -> Callable[[Any], None] | None:
        """Return the function that delivers the notifications of one session; None if no hook takes notifications."""
        hooks = (self.on_session_start, self.on_session_end, self.on_turn, self.on_usage)
        return _Delivery(self, context).deliver if any(hooks) else None

    def deliver(self, context: SessionContext, notification: Any) -> None:
        """Call the hook for a notification of a session, if there is one."""
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


class _Performing:
    """A function that does the work of one session. A closure would take three times the memory."""

    __slots__ = ("_perform", "_principal")

    def __init__(self, perform: Callable[[Any, Principal | None], Any], principal: Principal | None) -> None:
        self._perform = perform
        self._principal = principal

    def __call__(self, work: Any) -> Any:
        return self._perform(work, self._principal)


class _Delivery:
    """The delivery of one session's notifications. Notifications come one at a time."""

    def __init__(self, hooks: Hooks, context: SessionContext) -> None:
        self._hooks = hooks
        self._context = context

    def deliver(self, notification: Any) -> None:
        if isinstance(notification, Tagged):
            self._context = msgspec.structs.replace(self._context, tags=notification.tags)
        else:
            self._hooks.deliver(self._context, notification)
