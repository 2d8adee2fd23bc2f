"""Turn the text and audio of a response into messages for the client, and end the agent's turn.

An audio delta takes five steps: decode (`router.openai.codec`), convert (`Speaker.convert`), announce
(`_announce_audio`), schedule (`delivery.schedule_audio`), emit (`Context.emit_audio`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.handlers import delivery
from router.session.state.latency import TurnLatency
from router.session.state.playback import Piece
from router.session.state.states import ResponseState
from router.translation.sentences import ends_here, sentences_of

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.pending import SentRequest
    from router.session.state.text_delivery import ItemDelivery, TextDelivery

Delta = openai.ResponseOutputTextDelta | openai.ResponseOutputAudioTranscriptDelta
TextDone = openai.ResponseOutputTextDone | openai.ResponseOutputAudioTranscriptDone

# Text.


def text_delta(context: Context, event: Delta) -> None:
    """Record the text so far, and send the sentences that it completes.

    A profile that sends only whole items needs the record, too, because the heard words of a cut answer come from it.
    """
    turn = context.state.turn
    # A late event may repeat the text of an earlier response (upstream 5.7).
    if turn.is_suppressed(event.response_id) or turn.is_repeated(event.item_id, event.response_id):
        return
    answer = turn.answer_of(event.response_id)
    part = answer.of_text(event.item_id, event.content_index)
    if part.is_closed:
        # The part was sent whole, so this delta begins another part. Some servers send no ids.
        part = answer.begin(event.item_id, event.content_index)
    drop_excess(context, answer)
    if not _takes(context, answer, len(event.delta)):
        return
    part.transcript += event.delta
    part.is_spoken = isinstance(event, openai.ResponseOutputAudioTranscriptDelta)
    if answer is turn.answer:
        context.state.latency.mark("token_s", context.now_s)
        start_speaking(context)
    if context.profile.sentences:
        _send_sentences(context, part)


def text_done(context: Context, event: openai.ResponseOutputTextDone) -> None:
    """Deliver the text of an item."""
    _text_done(context, event, event.text)


def transcript_done(context: Context, event: openai.ResponseOutputAudioTranscriptDone) -> None:
    """Deliver the transcript of an item."""
    _text_done(context, event, event.transcript)


def _text_done(context: Context, event: TextDone, content: str) -> None:
    turn = context.state.turn
    if turn.response is ResponseState.NONE and turn.claim_unnamed(event.item_id, content):
        return
    if turn.is_suppressed(event.response_id):
        turn.withhold(event.response_id, event.item_id, content)
        return
    if turn.is_repeated(event.item_id, event.response_id):
        return
    answer = turn.answer_of(event.response_id)
    if turn.begins_beside(event.response_id):
        answer.forget_unnamed()
    deliver_text(context, answer, answer.of_text(event.item_id, event.content_index), content)
    drop_excess(context, answer)


def deliver_text(context: Context, answer: TextDelivery, part: ItemDelivery, content: str) -> None:
    """Send the part of an item's text that the client lacks, and add the item to the ledger.

    Up to five events repeat the text (upstream 5.7). The first of them counts, whichever event it is. A response
    outside the conversation (`Turn.beside`) is no turn and adds no item (upstream 5.3).
    """
    state = context.state
    is_of_turn = answer is state.turn.answer
    if not content.strip() or part.is_closed:
        return
    # A text that is too long ends with the words that have arrived. The pieces of a text count already.
    if content != part.transcript and not _takes(context, answer, len(content) - len(part.transcript)):
        content = part.transcript
    if is_of_turn:
        start_speaking(context)
    if context.profile.sentences and not content.startswith(part.transcript[: part.sent_chars]):
        # The final wording differs from the sentences that were sent, and cannot continue them: the text of the deltas
        # is used.
        content = part.transcript
    part.replace_text(content)
    if context.profile.sentences:
        _send_sentences(context, part, is_final=True)
    else:
        unsent = content[part.repeated_chars :].strip()
        if unsent:
            is_whole = context.tells_whole and part.is_continued
            _send_text(context, key_of(context, part), part.whole(content) if is_whole else unsent)
    if content and is_of_turn:
        state.ledger.add_assistant_text(key_of(context, part), content)
        state.playback.set_text(part.key, content)
    part.sent_text, part.is_closed = content, True


def deliver_withheld(context: Context, sent: SentRequest) -> None:
    """Deliver the texts of a response that was taken for that of a verbatim text, and is the upstream's own."""
    turn = context.state.turn
    withheld, sent.withheld = sent.withheld, ()
    for item_id, content in withheld:
        turn.reopen_item(item_id)
        if content:
            deliver_text(context, turn.answer, turn.answer.of_text(item_id, None), content)
    if sent.is_withheld_cut:
        context.count_excess("an answer has too much text beside a verbatim text: a part of it is dropped")
        _warn_once(context, turn.answer, "too much of it came beside a text that the agent speaks")


def drop_excess(context: Context, answer: TextDelivery) -> None:
    """Forget the oldest part of an answer that has too many parts.

    An unfinished text ends with the words that have arrived. Then the client gets a warning, at most once for each
    answer.
    """
    part = answer.take_excess()
    if part is None:
        return
    if part.is_closed or part.transcript:
        context.state.turn.close_item(part.item_id)
    if not part.is_closed and part.transcript.strip():
        context.count_excess("an answer has too many unfinished texts: the oldest one ends early")
        deliver_text(context, answer, part, part.transcript)
        _warn_once(context, answer, "it has too many unfinished texts at the same time")


def _takes(context: Context, answer: TextDelivery, further_chars: int) -> bool:
    """Return whether the answer takes further text. If it is too long, count the text."""
    takes = answer.takes(further_chars)
    if not takes:
        context.count_excess("an answer is too long: its further text is dropped")
        _warn_once(context, answer, "it is too long")
    return takes


def _warn_once(context: Context, answer: TextDelivery, problem: str) -> None:
    if not answer.is_excess_told:
        answer.is_excess_told = True
        description = f"the answer is incomplete: {problem}"
        delivery.send(context, deepgram.Warning(description=description, code="RESPONSE_INCOMPLETE"))


def _send_sentences(context: Context, part: ItemDelivery, *, is_final: bool = False) -> None:
    # Start at `delivered_chars`: if this answer continues another one, the client has the beginning already.
    start = part.delivered_chars
    split = sentences_of(part.transcript, start, part.searched_chars, is_final=is_final)
    part.searched_chars = split.searched
    if split.end > start:
        part.sent_chars = split.end
    for sentence in split.sentences:
        _send_text(context, key_of(context, part), sentence)


def _send_text(context: Context, item_id: str | None, content: str) -> None:
    context.state.latency.mark("text_s", context.now_s)
    delivery.send_text(context, item_id, content)


def deliver_heard(context: Context, part: ItemDelivery, words: str) -> None:
    """Send the client the heard words of a cut answer, except the words that it already has."""
    rest = words[part.delivered_chars :].strip()
    if rest:
        is_whole = context.tells_whole and part.is_continued
        delivery.send_text(context, key_of(context, part), part.whole(words) if is_whole else rest)


def key_of(context: Context, part: ItemDelivery) -> str:
    """Return the id by which the ledger and the playback know an item.

    An item without an id gets an id of the session's. Otherwise an interruption of the answer would concern every
    earlier answer without an id.
    """
    key = part.key
    if key is None:
        key = part.local_id = context.state.new_id()
    return key


# Audio.


def start_speaking(context: Context) -> None:
    """Send the messages that end an earlier turn, if they are held, before a response's first output.

    If the client is the component, then send AgentStartedSpeaking.
    """
    turn = context.state.turn
    turn.has_output = True
    if not turn.has_started_speaking:
        turn.has_started_speaking = True
        delivery.end_earlier_turn(context)
        context.to_component(deepgram.AgentStartedSpeaking())


def audio_delta(context: Context, event: openai.ResponseOutputAudioDelta) -> None:
    """Decode, convert, announce, schedule and emit a piece of audio, unless the user interrupted its response.

    Deltas still arrive after a cancel (upstream 7.4). A binary frame names no response, so the client would play late
    audio as the next answer (client 4.2).
    """
    state = context.state
    if state.turn.is_muted(event.response_id):
        state.interrupted_bytes += len(event.delta.rstrip("=")) * 3 // 4
        return
    try:
        pcm = state.speaker.convert(event.delta, event.response_id)
    except ValueError as error:
        context.log(logging.WARNING, f"a piece of audio is not base64 and dropped: {error}")
        return
    if pcm:
        answer = state.turn.answer_of(event.response_id)
        part = answer.of_audio(event.item_id)
        drop_excess(context, answer)
        _announce_audio(context, answer, part)
        _schedule(context, part, pcm)


def _announce_audio(context: Context, answer: TextDelivery, part: ItemDelivery) -> None:
    state = context.state
    if answer is state.turn.answer:
        start_speaking(context)
    if part.sent_chars < len(part.transcript) and _is_sentence(context, part):
        # The full stop may be a decimal point, but the text of a sentence must come before its audio (client 4.1).
        _send_sentences(context, part, is_final=True)
    if state.latency.mark("audio_s", context.now_s) and _announces_speech(context):
        delivery.send(context, state.latency.started_speaking())


def _schedule(context: Context, part: ItemDelivery, pcm: bytes) -> None:
    piece = Piece(key_of(context, part), pcm, context.state.speaker.duration_s(pcm))
    part.received_s += piece.duration_s
    delivery.schedule_audio(context, piece)


def flush_audio(context: Context) -> None:
    """Schedule the last milliseconds of a response, which the converter's filter held back."""
    rest = context.state.speaker.finish()
    if rest:
        _schedule(context, context.state.turn.answer.of_audio(None), rest)


def _is_sentence(context: Context, part: ItemDelivery) -> bool:
    return context.profile.sentences and ends_here(part.transcript, part.delivered_chars)


def _announces_speech(context: Context) -> bool:
    # Deepgram sends AgentStartedSpeaking only if `experimental` is true (client 4.4). The component always gets it,
    # from `start_speaking`.
    return not context.profile.component_messages and context.state.plan.is_experimental


# The end of the turn.


def turn_continues(context: Context) -> bool:
    """Whether a function call, or the answer to its output, continues the agent's turn."""
    state = context.state
    return bool(state.calls.outstanding) or state.turn.is_answered_by_passthrough or state.pending.continues_turn


def end_turn(context: Context) -> None:
    """Send AgentAudioDone and the latency report, unless a function call or another response continues the turn."""
    turn = context.state.turn
    if not turn.is_open or turn_continues(context):
        return
    turn.is_open = False
    latency, context.state.latency = context.state.latency, TurnLatency()
    delivery.send(context, deepgram.AgentAudioDone())
    if context.profile.component_messages:
        delivery.send(context, deepgram.AgentDone())
    report = latency.report()
    # A turn without output has no latency to report.
    if report != deepgram.LatencyReport():
        delivery.send(context, report)
