"""The machine of a call that two backends may serve, made from the parts of one session."""

from __future__ import annotations

import functools
from collections.abc import Mapping  # noqa: TC003 - msgspec resolves the annotation
from typing import TYPE_CHECKING, Any

import msgspec

from router.fronts.as_openai.machine import TwoBackendRelay
from router.fronts.deepgram_agent.policed import PolicedMachine, judge
from router.fronts.failover.deepgram_settings import for_deepgram
from router.fronts.failover.sides import Parts
from router.fronts.failover.value import MovableCall
from router.fronts.named_agents import with_agents
from router.fronts.realtime.front import REALTIME
from router.fronts.realtime.machine import RealtimeRelay
from router.policy.rules import Denied

if TYPE_CHECKING:
    from actors.machine import Machine
    from router.fronts.front import Call, Front
    from router.policy.policy import Policy
    from router.session.machine import Session


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a route that a call with two backends needs."""

    deepgram_position: int
    """The position of Deepgram among the upstreams of the call: after the listed upstreams."""
    blocks: Mapping[str, Any] = {}
    """The fields of the configured agent. Deepgram gets its `listen`, `speak` and provider of `think`."""


def has_guard(front: Front) -> bool:
    """Whether a call of this front that two backends may serve can have a guard.

    Only a front whose client has the same wire at both backends can have a guard.
    """
    return front is REALTIME


def has_sides(front: Front) -> bool:
    """Whether the machine of a call of this front has a side for each backend, and so a memory of its own."""
    return front is not REALTIME


def machine_of(front: Front, call: Call, plan: Plan, memory: bytes = b"") -> Machine:
    """Return the machine of a call that two backends may serve, with the policy of its client.

    `memory` is that of the machine in another process (`MovableCall`).

    If the front is no relay, the machine takes the place of the session, and the front is around the machine. On a
    route of OpenAI's events the relay judges the client's events by itself.
    """
    policy = call.policy
    as_sent = functools.partial(for_deepgram, blocks=plan.blocks, input_rate=front.profile.linear16_rate)
    if front is REALTIME:
        return TwoBackendRelay(RealtimeRelay(call), plan.deepgram_position, as_sent)
    parts = Parts(
        session=call.session,
        options=call.session.context.options,
        # The session judges the client's messages itself.
        around_session=_itself,
        around_relay=functools.partial(_policed, policy if not front.is_relay else None),
        judged=functools.partial(_judged, policy if not front.is_relay else None),
        as_sent=as_sent,
        deepgram_position=plan.deepgram_position,
        begins_relayed=front.is_relay,
    )
    machine = MovableCall(parts, memory)
    return with_agents(_policed(policy, machine), call, passes_unknown=True) if front.is_relay else machine


def _itself(session: Session) -> Machine:
    return session


def _policed(policy: Policy | None, machine: Machine) -> Machine:
    return machine if policy is None else PolicedMachine(machine, policy)


def _judged(policy: Policy | None, text: str) -> str | None:
    judged = text if policy is None else judge(policy, text)
    return None if isinstance(judged, Denied) else judged
