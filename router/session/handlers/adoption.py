"""Continue a session that another process carried: dial another upstream, and finish what that process left open.

The session is restored from its snapshot. Its upstream is lost, its timers do not run, and the results of its work on
pool threads never arrive. In a planned move the session changes the process between two turns, and the client does not
notice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from actors.messages import WorkDone, WorkFailure, WorkFailureKind
from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import configure_hook, conversions, delivery, function_calls, settings
from router.session.handlers.agent_output import key_of
from router.session.handlers.restart import UPSTREAM_WAITS
from router.session.handlers.resume import interrupt_work
from router.session.state.queues import EMPTY
from router.session.state.states import Lifecycle, ResponseState
from router.session.state.upstream import UpstreamLink
from router.session.work import WorkKind, work_key

if TYPE_CHECKING:
    from actors import messages
    from router.session.context import Context

RECOVERED: Final = deepgram.Warning(
    description="the process that served this session ended; another process continues the session",
    code="SESSION_RECOVERED",
)


def adopt(context: Context, adopted: messages.ClientAdopted) -> Lifecycle | None:
    """Interrupt the work in progress, and dial another upstream.

    Before Settings there is no work, so only dial. Return AWAITING_SETTINGS if the session stays in this state; None
    for the row's next state.
    """
    state = context.state
    # This process reads the client, even if the other one had paused it.
    state.user_turns.resume(context.now_s)
    _forget_drain(context)
    # The session may have ended the other process, and may end this one.
    if state.adoptions:
        context.wait(Wait.ADOPTION)
    context.stop_waiting(*UPSTREAM_WAITS, Wait.STANDBY)
    if state.lifecycle is Lifecycle.AWAITING_SETTINGS:
        state.upstream = UpstreamLink(0)
        settings.dial(context, state.model or context.options.fixed_model or context.options.model)
        return Lifecycle.AWAITING_SETTINGS
    _append_words(context, adopted.words)
    _record_sent_audio(context, adopted.sent_bytes)
    # The awaited transcripts were lost with the upstream.
    delivery.abandon_transcripts(context)
    interrupt_work(context)
    function_calls.forget_approvals(context)
    # No warning before SettingsApplied: until then the client only waits a little longer.
    if state.is_applied and not adopted.is_planned:
        context.to_client(RECOVERED)
    # The standby upstream was lost with the other process, too.
    context.signal(inputs.StandbyReleased())
    state.upstream = state.next_link()
    context.wait(Wait.RESTART)
    context.open_upstream(state.upstream.generation, state.model)
    # The answer to the ping of the other process may be lost. Until a client has answered, only little audio may wait.
    if state.playback.is_waiting and not state.playback.is_trusted:
        context.probe_client()
    return None


def _forget_drain(context: Context) -> None:
    # The drain concerned only the other process. A session that ends because of a limit uses the same wait, and still
    # ends.
    state = context.state
    if state.limited.reached is None:
        state.drain_until_s, state.stays_idle = math.inf, False
        context.stop_waiting(Wait.DRAIN)


def finish(context: Context) -> None:
    """Prepare the session again, fail the calls of the router's own functions, and start the timers.

    Preparations are the hook `configure` and the audio converters. The machine calls this after `adopt`, in the state
    that follows. No function runs twice, so an interrupted call fails.
    """
    if context.has_ended:
        return
    _prepare_again(context)
    failure = WorkFailure(WorkFailureKind.LOST)
    for call in [it for it in context.state.calls.outstanding.values() if not it.client_side]:
        function_calls.tool_done(context, call.id, WorkDone(work_key(WorkKind.TOOL, call.id), failure=failure))
    for name, due_s in context.timers.items():
        context.restart_timer(name, max(0.0, due_s - context.now_s))


def end_again(context: Context, _adopted: messages.ClientAdopted) -> None:
    """End a session whose process died between the session's end and the close of its connection."""
    context.end_again()


def acquit(context: Context, _fired: messages.TimerFired) -> None:
    """Set the count of adoptions to 0, because the session has run for `ADOPTION_S` and this process still lives."""
    context.state.adoptions = 0


def _append_words(context: Context, words: str) -> None:
    """Append the words that came after the snapshot to the answer in progress: the caller may have heard them."""
    turn = context.state.turn
    if words and turn.response is not ResponseState.NONE:
        turn.answer.newest.transcript += words


def _record_sent_audio(context: Context, sent_bytes: int) -> None:
    """Record audio that the other process sent after the snapshot, so that the next answer does not repeat it."""
    state = context.state
    if not sent_bytes:
        return
    is_answering = state.turn.response is not ResponseState.NONE
    part = state.turn.answer.of_audio(None) if is_answering else None
    item_id = key_of(context, part) if part is not None else None
    new_s = state.playback.record_sent(item_id, sent_bytes, state.speaker.target.bytes_per_s, context.now_s)
    if part is not None:
        part.received_s += new_s


def _prepare_again(context: Context) -> None:
    state = context.state
    if state.in_hook is not None:
        configure_hook.start(context, *state.in_hook)
    elif state.preparing and state.microphone is not None:
        state.preparing = EMPTY
        conversions.prepare(context, state.microphone.source, state.speaker.target)
