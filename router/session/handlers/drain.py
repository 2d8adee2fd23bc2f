"""Finish a session whose process is about to end, without cutting off an answer.

The client is warned at once. The session ends as soon as no work is in progress (a joint rule), and at the latest when
the time of the drain is over.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from router import closes
from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import limits
from router.session.state.states import Lifecycle, ResponseState
from router.translation import errors

if TYPE_CHECKING:
    from actors import messages
    from router.session.context import Context

QUESTIONS: Final = (
    deepgram.InjectUserMessage,
    deepgram.InjectAgentMessage,
    inputs.EchoedUserMessage,
    inputs.PassthroughItemCreate,
    inputs.PassthroughResponseCreate,
)
"""The early inputs that the agent answers once the upstream is ready."""


def begin_drain(context: Context, began: messages.DrainBegan) -> None:
    """Warn the client, unless a drain runs already, and limit the session's time.

    A second drain may shorten that time, and may end an idle session that the first drain kept.
    """
    state = context.state
    state.stays_idle = began.keeps_idle
    if state.drain_until_s == math.inf:
        _warn_client(context)
    state.drain_until_s = min(state.drain_until_s, context.now_s + began.deadline_s)
    context.wait_for(Wait.DRAIN, max(0.0, state.drain_until_s - context.now_s))


def _warn_client(context: Context) -> None:
    description = "the server is going away: the turn in progress is finished, then connect again"
    context.to_client(deepgram.Warning(description=description, code="SERVER_GOING_AWAY"))


def is_drained(context: Context) -> bool:
    """Whether a draining session may end: it has no work left, or `Limited.is_over` is true.

    The caller may still hear the end of the last answer. An idle session that the drain keeps may not end, unless it
    has reached a limit.
    """
    # Joint rules are applied after the end of a session, too, so ENDED is excluded here.
    is_draining = context.state.drain_until_s < math.inf and context.state.lifecycle is not Lifecycle.ENDED
    is_over = context.state.limited.is_over
    return is_draining and not _stays(context) and (is_over or not _has_work(context))


def _stays(context: Context) -> bool:
    # A limit that was reached ends an idle session all the same: its client gets the reason without a delay.
    return context.state.stays_idle and context.state.limited.reached is None


def _has_work(context: Context) -> bool:
    state = context.state
    # Without Settings the kept inputs will never be answered.
    has_question = state.lifecycle is not Lifecycle.AWAITING_SETTINGS and any(
        isinstance(kept, QUESTIONS) for kept in state.early.inputs
    )
    has_unsent = state.playback.is_waiting or state.transcripts.held
    return bool(has_question or has_unsent or state.turn.is_open or state.is_busy or _awaits_commit(context))


def _awaits_commit(context: Context) -> bool:
    # With turn detection `manual` no event reports that the user speaks: uncommitted audio is the only sign.
    state = context.state
    is_manual = state.plan.detection.is_manual and not state.user_turns.is_committing
    return is_manual and state.microphone is not None and state.microphone.has_uncommitted


def end_drained(context: Context) -> None:
    """End the session as soon as the caller has heard the last answer: clients stop playing when their socket closes.

    The client knows the reason already, and may take the rest of the drain's time to read its backlog. If another turn
    has begun after a limit of tokens, money or turns was reached, the session ends at once.
    """
    state = context.state
    has_begun_again = state.limited.is_over and (state.is_busy or state.turn.is_open)
    state.limited.note_rest()
    if state.playback.is_audible(context.now_s) and not has_begun_again:
        context.wait_for(Wait.PLAYBACK, state.playback.ahead_s(context.now_s))
        return
    if state.limited.reached is not None:
        context.end(limits.final_error(state.limited.reached))
        return
    linger_s = max(0.0, state.drain_until_s - context.now_s)
    context.end_silently(closes.DRAINED.code, closes.DRAINED.reason, linger_s)


def drain_timed_out(context: Context, _fired: messages.TimerFired) -> None:
    """End the session in the middle of its work, with an Error that names the reason."""
    if context.state.turn.response is not ResponseState.NONE:
        # The rest of the response would only cost tokens.
        context.to_upstream(openai.ResponseCancel(response_id=context.state.turn.response_id))
    if context.state.limited.reached is not None:
        context.end(limits.final_error(context.state.limited.reached))
        return
    context.end(errors.final_error("SERVER_GOING_AWAY", "the server is going away: connect again"))
