"""Replace a lost upstream: interrupt the work, dial again, warn the client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors.restart import Decision, Loss, LossKind
from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.deadlines import Wait, length_s
from router.session.handlers import delivery
from router.session.handlers.ending import end_lost_session
from router.session.handlers.function_calls import forget_approvals
from router.session.handlers.resume import interrupt_work
from router.session.state.states import Lifecycle, StandbyState
from router.session.state.upstream import UpstreamLink

if TYPE_CHECKING:
    from actors import messages
    from router.openai import codec as openai_codec
    from router.session.context import Context

UPSTREAM_WAITS: Final = (
    Wait.DIAL,
    Wait.SESSION_CREATED,
    Wait.UNANNOUNCED,
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
"""The waits that end with their upstream.

The wait for a function's output continues, because the next upstream gets the output.
"""

_MAX_CAUSE_CHARS: Final = 100

# Reasons to abandon an upstream.


def abandon_silent(context: Context, fired: messages.TimerFired) -> None:
    """Abandon an upstream that missed a deadline."""
    wait = Wait(fired.name)
    context.log(logging.WARNING, f"the upstream is abandoned: the deadline {wait.value} expired")
    context.abandon(Loss(kind=LossKind.SILENT, cause=wait.value))


def abandon_stopped(context: Context, fired: messages.TimerFired) -> None:
    """Abandon an upstream that stopped in the middle of a response.

    A response without response.created sends nothing after a function call until it has the call's output. The wait for
    that output has deadlines of its own, so the upstream gets more time here.
    """
    turn = context.state.turn
    if not turn.is_announced and turn.has_called and context.state.calls.outstanding:
        context.wait(Wait.NEXT_EVENT)
    else:
        abandon_silent(context, fired)


def abandon_malformed(context: Context, malformed: openai_codec.Malformed) -> None:
    """Abandon an upstream that sent a frame which is not an event."""
    context.log(logging.ERROR, f"the upstream sent a malformed frame: {malformed.problem}")
    context.abandon(Loss(kind=LossKind.MALFORMED, cause=malformed.problem[:_MAX_CAUSE_CHARS]))


# The loss.


def upstream_lost(context: Context, lost: messages.UpstreamLost) -> Lifecycle | None:
    """Interrupt the work in progress, and continue at the standby upstream, or at a new one, or end the session.

    The verdict of the restart policy says whether a restart is allowed. A switch to the standby upstream is no restart.
    """
    state = context.state
    has_standby = state.standby_state is StandbyState.SEEDED
    if lost.verdict.decision is Decision.TEAR_DOWN and not has_standby:
        end_lost_session(context, lost)
        return None
    context.stop_waiting(*UPSTREAM_WAITS)
    # Send the held texts before `interrupt_work`, which counts them as sent. Their transcripts were lost with the
    # upstream.
    delivery.abandon_transcripts(context)
    interrupt_work(context)
    forget_approvals(context)
    _warn(context, lost)
    if has_standby:
        context.signal(inputs.StandbyPromoted())
        return Lifecycle.READY
    context.signal(inputs.StandbyReleased())
    state.upstream = state.next_link()
    # Add the supervisor's back-off: the deadline would otherwise expire before the dial.
    context.wait_for(Wait.RESTART, lost.verdict.delay_s + length_s(Wait.RESTART, context.options.deadlines))
    context.open_upstream(state.upstream.generation, state.model, delay_s=lost.verdict.delay_s)
    return None


def forget_upstream(context: Context, _lost: messages.UpstreamLost) -> None:
    """Forget an upstream that was lost before the client sent Settings. The Settings will dial another one."""
    context.stop_waiting(*UPSTREAM_WAITS)
    context.state.upstream = UpstreamLink(0)


def _warn(context: Context, lost: messages.UpstreamLost) -> None:
    # Before SettingsApplied the client has noticed nothing, and only waits a little longer.
    if context.state.is_applied:
        cause = context.options.redact(lost.loss.cause)
        description = (
            f"the connection to the model was lost ({cause}) and is being restored; an Error follows if that fails"
        )
        context.to_client(deepgram.Warning(description=description, code="UPSTREAM_RESTARTED"))
