"""Cut off the agent when the user interrupts, and correct every copy of the conversation to the words that were heard.

The client empties its buffer at UserStartedSpeaking (client 4.2), and the session drops the audio that waits for its
playback. The session cancels the response and truncates its items at the estimated end of the heard audio, which the
upstream cannot know (upstream 7.1). The ledger keeps the heard words for the next upstream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.handlers import verbatim
from router.session.handlers.agent_output import deliver_heard, end_turn, key_of
from router.session.handlers.items import CUT_EVENT_ID, correct_item
from router.session.state.states import ResponseState
from router.translation import speech

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.playback import Unheard


def stop_agent(context: Context) -> None:
    """Cut off the agent for a reason other than the user's voice, such as a typed message.

    Only UserStartedSpeaking makes a client stop playing, so the session sends it here, too, if the agent is audible.
    """
    if context.state.playback.is_audible(context.now_s):
        context.to_client(deepgram.UserStartedSpeaking())
    interrupt(context)


def interrupt(context: Context) -> None:
    """Cut off the agent's current speech.

    If a response request is in flight, the session cancels its response when it begins. This applies if the agent is
    audible, or if the request is for a verbatim text. It never applies to a client's own request outside the
    conversation, because the agent does not speak its response.
    """
    state = context.state
    # Read both before `stop` empties the playback.
    is_audible = state.playback.is_audible(context.now_s)
    unheard = state.playback.unheard(context.now_s)
    waiting = state.playback.stop(context.now_s)
    item_ids = {it.played.item_id for it in unheard}
    # A held text of unheard audio would show the client words that the caller did not hear.
    state.transcripts.drop_texts(item_ids)
    was_interrupted = state.turn.is_interrupted
    _stop_response(context, is_audible=is_audible)
    for item in unheard:
        _cut_item(context, item)
    # The first interruption has dropped the unheard words. A later one would count them as heard.
    if not was_interrupted:
        _cut_silent_answer(context, item_ids)
    # The texts of unheard audio are dropped with it. Other messages, such as the end of the turn, are still due.
    context.to_client(*(message for message in waiting if not isinstance(message, deepgram.ConversationText)))
    _drop_continuations(context)


def _stop_response(context: Context, *, is_audible: bool) -> None:
    turn = context.state.turn
    if turn.response is ResponseState.ACTIVE and not turn.is_interrupted:
        cancel_active(context)
    sent = context.state.pending.in_flight
    if sent is None or sent.request.is_outside:
        return
    if is_audible or sent.request.verbatim is not None:
        # A cancel that overtakes response.created may be lost (upstream 7.4): cancel the response when it begins.
        sent.is_interrupted = True


def cancel_active(context: Context) -> None:
    """Cancel the active response, and drop its output from now on.

    The upstream's detector may have cancelled the response already. Then the upstream answers with an error, which the
    client does not get (upstream 8.2).
    """
    turn = context.state.turn
    turn.mute(turn.response_id)
    turn.is_cut, turn.cancels_next = True, False
    context.state.speaker.drop()
    # Without an id the cancel might reach the upstream late, and cancel the next response.
    response_id = turn.response_id or turn.output_id
    context.to_upstream(openai.ResponseCancel(response_id=response_id, event_id=CUT_EVENT_ID))


def _cut_item(context: Context, item: Unheard) -> None:
    played, heard_s = item
    turn, item_id = context.state.turn, played.item_id
    part = turn.answer.find_by_key(item_id)
    is_whole = played.text is not None
    transcript = played.text or (part.transcript if part is not None else "")
    # The transcript carries no timing (upstream 5.8), so the heard words are a share of it by duration.
    words = speech.heard(transcript, heard_s, played.received_s if is_whole else None) if heard_s else ""
    if item_id is not None and verbatim.is_verbatim_item(context, item_id):
        verbatim.replace_by_heard(context, item_id, words, is_whole=is_whole)
        return
    # Another upstream than the one that generated the audio has the item as a text, which cannot be truncated (upstream
    # 7.2).
    if item_id is not None and played.is_upstream:
        # The upstream knows no id of the session's for an item that it gave no id.
        is_named = not context.state.new_id.gave(item_id)
        if is_named and not played.is_truncated:
            truncate(context, item_id, heard_s)
        turn.cut(part, item_id if is_named else None)
    if is_whole:
        correct_item(context, item_id, words, played)
    elif words and part is not None:
        deliver_heard(context, part, words)
        context.state.ledger.add_assistant_text(item_id, words)


def _cut_silent_answer(context: Context, cut_ids: set[str | None]) -> None:
    """Add the sent text of an interrupted answer to the ledger, and send no more of the answer.

    This is for the items without unheard audio. `cut_ids` has the ids of the other items, which were cut already.
    """
    turn = context.state.turn
    if not turn.is_interrupted:
        return
    parts = [part for part in turn.answer.parts if part.key not in cut_ids]
    if turn.verbatim is not None and parts:
        verbatim.keep_heard(context, turn.answer.newest)
        return
    for part in parts:
        if part.sent_chars and not part.sent_text:
            sent = part.transcript[: part.sent_chars].strip()
            context.state.ledger.add_assistant_text(key_of(context, part), sent)
        turn.cut(part, part.item_id)


def _drop_continuations(context: Context) -> None:
    """Drop the requests to continue an answer that a lost upstream left incomplete.

    The user has interrupted that answer, so the agent must not speak the rest.
    """
    if context.state.pending.continue_nothing():
        context.state.turn.is_resumed = False
        end_turn(context)


def truncate(context: Context, item_id: str, heard_s: float) -> None:
    """Remove from the upstream's conversation the part of an item that the caller did not hear.

    An item of which the caller heard nothing is deleted: it cannot be truncated to 0 ms (upstream 7.3).
    """
    # Round down: the upstream refuses a truncation beyond the end of the audio (upstream 7.3).
    heard_ms = int(heard_s * 1000)
    if heard_ms:
        event = openai.ConversationItemTruncate(
            item_id=item_id, content_index=0, audio_end_ms=heard_ms, event_id=CUT_EVENT_ID
        )
        context.to_upstream(event)
    else:
        context.to_upstream(openai.ConversationItemDelete(item_id=item_id, event_id=CUT_EVENT_ID))
