"""The client's events under the policy of the session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import orjson

from router.fronts.realtime.wire import Event, RefusedError
from router.policy.rules import CODE, Denied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.fronts.realtime.relay import Context


def configure(context: Context, bound: Mapping[str, Any] | None = None) -> None:
    """Begin every upstream's configuration with the session that the policy forces, and then with `bound`.

    `bound` is the session that the client's secret is bound to, or None. If the policy denies `bound`, the handshake
    was refused already.
    """
    force(context)
    policy = context.policy
    if bound is None:
        return
    judged = {"session": dict(bound)}
    if policy is not None:
        passed = policy.client_event({"type": "session.update", "session": {"type": "realtime", **bound}})
        if isinstance(passed, Denied):
            return
        judged = passed
    context.state.configuration.apply({"type": "realtime", **judged["session"]})
    context.state.is_bound = True


def force(context: Context) -> None:
    """Apply the session that the policy forces to the configuration of the next upstream."""
    opening = context.policy.opening() if context.policy is not None else None
    if opening is not None:
        context.state.configuration.apply(opening)


def admitted(context: Context, event: Event) -> Event:
    """Return the client's event with the changes that the policy makes.

    Raises:
        RefusedError: the policy denies the event.
    """
    policy = context.policy
    if policy is None:
        return event
    passed = policy.client_text(event.fields, event.text)
    if isinstance(passed, Denied):
        context.log(logging.WARNING, f"the policy {policy.name} denies an event of the client: {passed.sentence}")
        raise RefusedError(CODE.lower(), passed.sentence, param=passed.place, event_id=event.string("event_id"))
    return event if passed is event.text else Event(event.kind, orjson.loads(passed), passed)
