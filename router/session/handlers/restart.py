"""Handlers of a lost upstream: interrupt the work, dial again, warn the client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors.restart import Decision, Loss, LossKind
from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.deadlines import Wait, length_s
from router.session.handlers import delivery
from router.session.handlers.ending import end_lost_session
from router.session.handlers.resume import interrupt_work, keep_verbatim_requests
from router.session.state.states import Lifecycle, StandbyState
from router.session.state.upstream import UpstreamLink

if TYPE_CHECKING:
    from actors import messages
    from router.openai import codec as openai_codec
    from router.session.context import Context

UPSTREAM_WAITS: Final = (
    Wait.SESSION_CREATED,
    Wait.SESSION_UPDATED,
    Wait.UPDATE,
    Wait.ITEM_ACK,
    Wait.FIRST_EVENT,
    Wait.NEXT_EVENT,
    Wait.RESPONSE,
    Wait.ASK_AGAIN,
    Wait.ROLLOVER,
    Wait.MICROPHONE,
    Wait.MANUAL_COMMIT,
    Wait.COMMIT,
)
"""Those that belong to the upstream that is lost; a function's answer is still waited for."""

# What makes us give an upstream up.


def upstream_silent(context: Context, fired: messages.TimerFired) -> None:
    """The upstream did not do in time what it has to."""
    wait = Wait(fired.name)
    context.log(logging.WARNING, f"the upstream is given up: {wait.value} ran out")
    context.abandon(Loss(kind=LossKind.SILENT, cause=wait.value))


def upstream_malformed(context: Context, malformed: openai_codec.Malformed) -> None:
    """The upstream sent something that is no event."""
    context.log(logging.ERROR, f"the upstream sent a malformed frame: {malformed.problem}")
    context.abandon(Loss(kind=LossKind.MALFORMED, cause=malformed.problem[:100]))


# Making it good.


def upstream_lost(context: Context, lost: messages.UpstreamLost) -> Lifecycle | None:
    """Go on with the upstream that stands ready, or dial again, or say why not. What was under way is cut off first."""
    state = context.state
    has_standby = state.standby_state is StandbyState.SEEDED
    if lost.verdict.decision is Decision.TEAR_DOWN and not has_standby:
        end_lost_session(context, lost)
        return None
    context.stop_waiting(*UPSTREAM_WAITS)
    state.user_speech.is_on = False
    delivery.give_up_transcripts(context)  # of what this upstream heard, none will come
    interrupt_work(context)
    keep_verbatim_requests(context, state.upstream.items.give_up_waiting())
    _warn(context, lost)
    if has_standby:
        context.signal(inputs.StandbyPromoted())
        return Lifecycle.READY
    context.signal(inputs.StandbyReleased())
    state.upstream = state.next_link()
    context.wait_for(Wait.RESTART, lost.verdict.delay_s + length_s(Wait.RESTART, context.options.deadlines))
    context.open_upstream(state.upstream.generation, state.route, delay_s=lost.verdict.delay_s)
    return None


def forget_upstream(context: Context, _lost: messages.UpstreamLost) -> None:
    """The upstream that was dialled in advance is gone before it was needed: it is dialled again when it is."""
    context.stop_waiting(*UPSTREAM_WAITS)
    context.state.upstream = UpstreamLink(0)


def _warn(context: Context, lost: messages.UpstreamLost) -> None:
    if context.state.is_applied:
        cause = context.options.redact(lost.loss.cause)
        description = (
            f"the connection to the model was lost ({cause}) and is made again; an Error follows if it cannot be"
        )
        context.to_client(deepgram.Warning(description=description, code="UPSTREAM_RESTARTED"))
