"""The dispatch of a session's work. The class of the work selects the function that does it, on the calling thread."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from router.audio.convert import prepare
from router.session.work import CallEndpoint, CallTool, PrepareAudio
from router.tools.registry import ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.access.request import Principal
    from router.tools.endpoints import Endpoints
    from router.tools.registry import FunctionRegistry


class WorkRunner:
    """A table of the functions that do a session's work."""

    def __init__(self, functions: FunctionRegistry, make_endpoints: Callable[[], Endpoints]) -> None:
        self._functions = functions
        self._make_endpoints = make_endpoints
        self._perform: dict[type, Callable[[Any, Principal | None], Any]] = {
            CallTool: self._call_tool,
            CallEndpoint: lambda work, _principal: self._endpoints.call(work),
            PrepareAudio: lambda work, _principal: prepare(work.source, work.target),
        }

    def __call__(self, work: Any, principal: Principal | None = None) -> Any:
        """Do a piece of work and return its result. Raises a `ToolError` if a function returned no output."""
        return self._perform[type(work)](work, principal)

    @functools.cached_property
    def _endpoints(self) -> Endpoints:
        return self._make_endpoints()

    def _call_tool(self, work: CallTool, principal: Principal | None) -> str:
        call = ToolCall(session_id=work.session_id, call_id=work.call_id, name=work.name, principal=principal)
        return self._functions.call(call, work.arguments)
