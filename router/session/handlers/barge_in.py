"""The user interrupts: what was not heard is taken back everywhere, so that nobody believes that it was said.

The client has its buffer emptied by UserStartedSpeaking; what waits for it here is dropped. The upstream cancels the
response and truncates its items at what the caller can have heard (reference, 5.6: it cannot know). The ledger holds
what was heard, for the next upstream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.handlers import verbatim
from router.session.handlers.agent_output import deliver_heard, end_turn
from router.session.handlers.items import CUT_EVENT_ID, correct_item
from router.session.state import transcripts
from router.session.state.queues import Queue
from router.session.state.states import ResponseState
from router.session.state.turn import without_continuations
from router.translation import speech

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.playback import Unheard


def silence(context: Context) -> None:
    """Stop what the agent says where no speech of the user's has told the client to: UserStartedSpeaking alone does."""
    if context.state.playback.is_audible(context.now_s):
        context.to_client(deepgram.UserStartedSpeaking())
    interrupt(context)


def interrupt(context: Context) -> None:
    """Cut off what the agent says, and what it is about to say."""
    state = context.state
    is_audible = state.playback.is_audible(context.now_s)
    unheard = state.playback.unheard(context.now_s)
    behind = [message for message in state.playback.stop(context.now_s) if not isinstance(message, transcripts.WORDS)]
    state.transcripts.forget({it.played.item_id for it in unheard})
    _stop_response(context, is_audible=is_audible)
    for item in unheard:
        _withdraw(context, item)
    _leave_unsaid(context, {it.played.item_id for it in unheard})
    context.to_client(*behind)
    _drop_rest(context)


def _stop_response(context: Context, *, is_audible: bool) -> None:
    turn = context.state.turn
    if turn.response is ResponseState.ACTIVE and not turn.is_interrupted:
        cancel_active(context)
    elif turn.response is ResponseState.REQUESTED and (is_audible or verbatim.current_verbatim(context) is not None):
        turn.is_interrupted_early = True  # a cancel that overtakes response.created may be lost (reference, 2.6)


def cancel_active(context: Context) -> None:
    """Have the active response cancelled; whatever still comes of it is dropped."""
    turn = context.state.turn
    turn.interrupted.append(turn.response_id)
    turn.is_interrupted_early = False
    context.state.speaker.drop()
    context.to_upstream(openai.ResponseCancel(response_id=turn.response_id, event_id=CUT_EVENT_ID))


def _withdraw(context: Context, item: Unheard) -> None:
    played, heard_s = item
    item_id, answer = played.item_id, context.state.turn.answer
    is_whole = played.text is not None
    transcript = played.text or (answer.transcript if answer.item_id == item_id else "")
    words = speech.heard(transcript, heard_s, played.received_s if is_whole else None) if heard_s else ""
    if item_id is not None and verbatim.is_verbatim_item(context, item_id):
        verbatim.withdraw(context, item_id, words, is_whole=is_whole)
        return
    if item_id is not None and played.is_upstream:
        if not played.is_truncated:
            truncate(context, item_id, heard_s)
        context.state.upstream.items.suppress_text(item_id)
    if is_whole:
        correct_item(context, item_id, words, played)
    elif words:
        deliver_heard(context, item_id, answer, words)
        context.state.ledger.add_assistant_text(item_id, words)


def _leave_unsaid(context: Context, cut: set[str | None]) -> None:
    """Tell nothing more of an answer without audio; what was told of it stands."""
    answer, state = context.state.turn.answer, context.state
    if not state.turn.is_interrupted or answer.item_id in cut:
        return
    if verbatim.current_verbatim(context) is not None:
        verbatim.leave_unsaid(context, answer)
        return
    if answer.item_id is not None:
        state.upstream.items.suppress_text(answer.item_id)
    if answer.sent_chars and not answer.sent_text:
        state.ledger.add_assistant_text(answer.item_id, answer.transcript[: answer.sent_chars].strip())


def _drop_rest(context: Context) -> None:
    """Have no more of an answer that was cut off by the end of its upstream, and would be gone on with."""
    state, turn, items = context.state, context.state.turn, context.state.upstream.items
    resume = [state.resume] if state.resume is not None else []
    if not any(request.is_continuation for request in (*resume, *items.waiting, *turn.requests)):
        return
    state.resume = next(iter(without_continuations(resume)), None)
    items.change_waiting(without_continuations)
    turn.requests = Queue(without_continuations(turn.requests))
    turn.is_resumed = False
    end_turn(context)


def truncate(context: Context, item_id: str, heard_s: float) -> None:
    """Have the upstream forget what an item says beyond what was heard of it."""
    heard_ms = int(heard_s * 1000)
    if heard_ms:
        event = openai.ConversationItemTruncate(
            item_id=item_id, content_index=0, audio_end_ms=heard_ms, event_id=CUT_EVENT_ID
        )
        context.to_upstream(event)
    else:  # of which nothing was heard cannot be truncated
        context.to_upstream(openai.ConversationItemDelete(item_id=item_id, event_id=CUT_EVENT_ID))
