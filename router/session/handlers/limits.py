"""The limits of one call: its length, its longest silence, its turns, its tokens, its money.

At 80 % of a limit the client gets a `Warning`. At the limit the session ends like a drained one: the turn in progress
is finished and played first. An `Error` with the same code follows, and a close that no SDK answers with a new call.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.state.limited import BY_CODE, CALL, GRACE_S, SILENCE, Act, Step
from router.session.state.pending import ResponseRequest, new_verbatim_text
from router.session.state.states import Lifecycle
from router.translation import errors

if TYPE_CHECKING:
    from actors import messages
    from router.session.context import Context

MS_PER_S: Final = 1000

_WAITS: Final = {CALL: Wait.CALL, SILENCE: Wait.SILENCE}
"""The limits on time, each with the wait whose timer watches it."""


def start_clocks(context: Context) -> None:
    """Start the clocks of a call."""
    for step in context.state.limited.begin(context.now_s):
        _take(context, step)


def resume_clocks(context: Context) -> None:
    """Continue the clocks of a call that another machine began."""
    for step in context.state.limited.resume(context.now_s):
        _take(context, step)


def call_deadline(context: Context, _fired: messages.TimerFired) -> None:
    """Warn the client shortly before the maximum length of a call, or end the call at that length."""
    _take(context, context.state.limited.of_call(context.now_s))


def silence_deadline(context: Context, _fired: messages.TimerFired) -> None:
    """Warn the client of its silence, or end the call, depending on how long the silence has lasted."""
    state, now_s = context.state, context.now_s
    is_busy = state.is_busy or state.playback.is_audible(now_s)
    # The silence begins when the caller has heard the answer, and not when the answer was sent.
    _take(context, state.limited.of_silence(now_s, is_busy=is_busy, heard_at_s=state.playback.ends_s))


def choose_idle(context: Context, idle_ms: float | None) -> None:
    """Limit the silence to the time in the client's Settings, if that time is shorter than the operator's limit.

    With None or 0 the operator's limit stays.
    """
    if idle_ms is not None and idle_ms > 0:
        _take(context, context.state.limited.choose_idle(idle_ms / MS_PER_S))


def is_spent(context: Context) -> bool:
    """Whether the used tokens, money or turns require the session's end, or a warning that the client has not got."""
    state = context.state
    is_open = state.limited.spending.is_changed and state.lifecycle is not Lifecycle.ENDED
    return is_open and any(state.limited.of_spending())


def act_on_spending(context: Context) -> None:
    """Warn the client of each limit that is nearly reached. End the session at a limit that is reached."""
    for step in tuple(context.state.limited.of_spending()):
        _take(context, step)


def _take(context: Context, step: Step) -> None:
    state = context.state
    if step.act is not Act.WAIT and step.limit.code not in state.limited.warned_of:
        # One response may use up all tokens that were left. So warn the client at an end, too, unless it was warned
        # before.
        state.limited.warned_of |= {step.limit.code}
        context.to_client(deepgram.Warning(description=step.limit.warning, code=step.limit.code))
        if step.limit is SILENCE and step.act is Act.WARN:
            _ask(context)
    if step.act is Act.END:
        if step.limit is SILENCE:
            _speak(context, context.options.limits.silence_goodbye)
        _begin_end(context, step.limit.code)
    elif step.limit in _WAITS:
        context.wait_for(_WAITS[step.limit], step.again_s)


def _ask(context: Context) -> None:
    if _speak(context, context.options.limits.silence_question):
        context.state.limited.note_question(context.now_s)


def _speak(context: Context, text: str) -> bool:
    """Let the agent speak a configured text. Return False without a text, an agent, or a ready session."""
    state = context.state
    if not text or context.options.turn_detection == "listen" or state.lifecycle is not Lifecycle.READY:
        return False
    verbatim = new_verbatim_text(state.new_id(), text, is_urgent=False)
    state.pending.add(ResponseRequest(verbatim=verbatim))
    return True


def _begin_end(context: Context, code: str) -> None:
    """Record the limit that was reached, and start a drain unless one is running.

    The turn in progress finishes. The session ends when `drain.is_drained` is true, or after the time of the drain.
    """
    state = context.state
    state.limited.reached = code
    if state.drain_until_s == math.inf:
        state.drain_until_s = context.now_s + GRACE_S
        context.wait_for(Wait.DRAIN, GRACE_S)


def final_error(code: str) -> errors.FinalError:
    """Return the end of a session that has reached a limit."""
    return errors.final_error(code, BY_CODE[code].error)
