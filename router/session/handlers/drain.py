"""Handlers of a drain: the process is going away, and no answer shall be cut off for that.

The client is told at once. The session ends as soon as nothing is under way (a joint rule), and at the latest when
its time is up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from actors.connections.close_codes import CloseCode
from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait
from router.session.state.states import Lifecycle, ResponseState
from router.translation import errors

if TYPE_CHECKING:
    from actors import messages
    from router.session.context import Context

REASON: Final = "SERVER_GOING_AWAY"

QUESTIONS: Final = (
    deepgram.InjectUserMessage,
    deepgram.InjectAgentMessage,
    inputs.EchoedUserMessage,
    inputs.PassthroughItemCreate,
    inputs.PassthroughResponseCreate,
)
"""What brings an answer about, once the upstream is ready to take it."""


def begin_drain(context: Context, began: messages.DrainBegan) -> None:
    """Tell the client, and set the session its time. A second one may shorten it."""
    state = context.state
    if state.drain_until_s == math.inf:
        _warn_client(context)
    state.drain_until_s = min(state.drain_until_s, context.now_s + began.deadline_s)
    context.wait_for(Wait.DRAIN, max(0.0, state.drain_until_s - context.now_s))


def _warn_client(context: Context) -> None:
    description = "the server is going away: what is under way is finished, then connect again"
    context.to_client(deepgram.Warning(description=description, code="SERVER_GOING_AWAY"))


def is_drained(context: Context) -> bool:
    """Whether the session has to end, and nothing is under way that the end would cut, but for what is still heard."""
    is_draining = context.state.drain_until_s < math.inf and context.state.lifecycle is not Lifecycle.ENDED
    return is_draining and not _is_under_way(context)


def _is_under_way(context: Context) -> bool:
    state = context.state
    is_asked = state.lifecycle is not Lifecycle.AWAITING_SETTINGS and any(
        isinstance(kept, QUESTIONS) for kept in state.early.inputs
    )
    is_to_be_told = state.playback.is_waiting or state.transcripts.held
    return bool(is_asked or is_to_be_told or state.turn.is_open or state.is_under_way or _awaits_commit(context))


def _awaits_commit(context: Context) -> bool:
    state = context.state
    is_by_hand = state.turn_detection == "manual" and not state.is_committing
    return is_by_hand and state.microphone is not None and state.microphone.has_uncommitted


def end_drained(context: Context) -> None:
    """End, once the last answer has been heard. The client knows why, and may take its time to read it."""
    state = context.state
    if state.playback.is_audible(context.now_s):
        context.wait_for(Wait.PLAYBACK, state.playback.ahead_s(context.now_s))
        return
    linger_s = max(0.0, state.drain_until_s - context.now_s)
    context.end_silently(CloseCode.SERVICE_RESTART, REASON, linger_s)


def drain_timed_out(context: Context, _fired: Any) -> None:
    """End, although something is cut off: the client is told that it is."""
    if context.state.turn.response is not ResponseState.NONE:
        context.to_upstream(openai.ResponseCancel(response_id=context.state.turn.response_id))
    error = deepgram.Error(description="the server is going away: connect again", code="SERVER_GOING_AWAY")
    context.end(errors.ClosingError(error, CloseCode.SERVICE_RESTART, REASON))
