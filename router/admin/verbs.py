"""The verbs of an operator in one process. Arguments and results are values that JSON can carry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from router.logs import levels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.lifecycle import SessionInfo
    from router.admin.operator import Operator


class Router(Protocol):
    """The part of the router that the verbs need.

    A dispatcher's thread must not call its methods, because they block.
    """

    @property
    def operator(self) -> Operator:
        """The effects of verbs, except those on single sessions."""

    @property
    def session_count(self) -> int:
        """The number of present sessions."""

    def readiness(self) -> tuple[bool, str]:
        """Return whether the router is ready for new sessions, and the reason, such as `ready` or `draining`."""

    def sessions(self) -> list[SessionInfo]:
        """Return the live sessions."""

    def describe_session(self, session_id: str) -> dict[str, Any] | None:
        """Return the facts about a session; None if there is no such session."""

    def end_session(self, session_id: str) -> bool:
        """End a session with an `Error`. Return whether this process has the session."""

    def end_named(self, name: str) -> bool:
        """End the session whose client gave it this name, such as Twilio's id of a call.

        Return whether this process has the session.
        """


def perform(router: Router, verb: Mapping[str, Any]) -> Any:
    """Perform a verb, and return its result; None if the verb names a session that this process does not have."""
    return _VERBS[verb["verb"]](router, verb)


def _list(router: Router, _verb: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row(info) for info in router.sessions()]


def _show(router: Router, verb: Mapping[str, Any]) -> dict[str, Any] | None:
    infos = [info for info in router.sessions() if info.session_id == verb["id"]]
    facts = router.describe_session(verb["id"])
    return {**row(infos[0]), **facts} if infos and facts is not None else None


def _end(router: Router, verb: Mapping[str, Any]) -> bool | None:
    return router.end_session(verb["id"]) or None


def _drain(router: Router, verb: Mapping[str, Any]) -> bool | None:
    return router.operator.drain_session(verb["id"]) or None


def _upstreams(router: Router, _verb: Mapping[str, Any]) -> list[dict[str, Any]]:
    return router.operator.upstreams()


def _pause(router: Router, verb: Mapping[str, Any]) -> int:
    return router.operator.pause(verb["position"])


def _resume(router: Router, verb: Mapping[str, Any]) -> int:
    return router.operator.resume(verb["position"])


def _worker(router: Router, _verb: Mapping[str, Any]) -> dict[str, Any]:
    is_ready, reason = router.readiness()
    return {**router.operator.worker(), "sessions": router.session_count, "ready": is_ready, "reason": reason}


def _log_level(router: Router, verb: Mapping[str, Any]) -> str:
    # The switch is for the arbiter, and for workers that start later.
    router.operator.switches.log_level = verb["level"]
    levels.set_level(verb["level"])
    return str(verb["level"])


def _record(router: Router, verb: Mapping[str, Any]) -> bool:
    return router.operator.record(verb["percent"])


def _end_named(router: Router, verb: Mapping[str, Any]) -> bool | None:
    return router.end_named(verb["name"]) or None


def row(info: SessionInfo) -> dict[str, Any]:
    """Return a session as a row of the list of sessions."""
    return {
        "id": info.session_id,
        "state": info.state,
        "route": info.log_fields.get("route"),
        "principal": info.log_fields.get("principal"),
        "age_s": round(info.age_s, 3),
        "generation": info.generation,
        "restarts": info.restarts,
        "worker": os.getpid(),
    }


_VERBS: dict[str, Callable[[Router, Mapping[str, Any]], Any]] = {
    "list": _list,
    "show": _show,
    "end": _end,
    "drain": _drain,
    "upstreams": _upstreams,
    "pause": _pause,
    "resume": _resume,
    "worker": _worker,
    "log-level": _log_level,
    "record": _record,
    "end_named": _end_named,
}
