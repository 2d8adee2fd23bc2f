"""Have the agent speak a given text word for word, such as a greeting or an InjectAgentMessage.

The API cannot speak a given text (upstream 3.3). A response outside the conversation is instructed to say exactly this
text. Its audio is played, and its own transcript is dropped: the client gets the given text, ahead of the audio. The
text joins the conversation and the ledger only when it was spoken: once, and as far as the caller heard it. The tables
treat this response like any other: it has the same deadlines, and only one response runs at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.openai import events as openai
from router.session.handlers import delivery
from router.session.handlers.agent_output import end_turn, start_speaking
from router.session.handlers.items import correct_item, create_item
from router.session.state.origin import metadata_of
from router.session.state.queues import newest
from router.translation import session_config, speech, text

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.pending import ResponseRequest, VerbatimText
    from router.session.state.text_delivery import ItemDelivery

MAX_VERBATIM: Final = 16
"""The number of verbatim texts whose item ids a session remembers at most."""


def current_verbatim(context: Context) -> VerbatimText | None:
    """Return the verbatim text of the response in progress, or None."""
    return context.state.turn.verbatim


def parameters(
    verbatim_text: VerbatimText, request_id: str, *, as_item_of: text.NewId | None = None
) -> openai.ResponseParameters:
    """Return the parameters of the response. Neither the conversation nor the tools may influence the words.

    `as_item_of` is a function that makes item ids. If it is given, the text is an input item and not part of the
    instructions. So a policy keeps a client's words out of the instructions.
    """
    words = verbatim_text.rest
    item = text.message_item(as_item_of(), "user", words) if as_item_of is not None else None
    return openai.ResponseParameters(
        conversation="none",
        input=[] if item is None else [item],
        instructions=speech.verbatim(words) if item is None else speech.VERBATIM_ITEM,
        output_modalities=["audio"],
        tools=[],
        tool_choice="none",
        metadata=metadata_of(request_id, is_verbatim=True),
    )


def has_voice(context: Context) -> bool:
    """Whether the agent speaks at all, as the Settings or the client's own updates say."""
    plan = context.state.plan
    modalities = session_config.first_think(plan.agent).outputModalities
    # The client sent its own session.update after the Settings, so it counts.
    return plan.changes.get("output_modalities", modalities) != ["text"]


# The begin.


def begin(context: Context, request: ResponseRequest, verbatim_text: VerbatimText) -> ResponseRequest:
    """Send the client the text once, before the response is created.

    Return the request, with the text marked as sent.
    """
    _send_text_once(context, verbatim_text)
    sent = msgspec.structs.replace(verbatim_text, is_sent=True)
    expect(context, sent)
    return msgspec.structs.replace(request, verbatim=sent)


def _send_text_once(context: Context, verbatim_text: VerbatimText) -> None:
    if not verbatim_text.is_sent:
        start_speaking(context)
        context.state.latency.mark("text_s", context.now_s)
        delivery.send_text(context, verbatim_text.item_id, verbatim_text.text)


def expect(context: Context, verbatim_text: VerbatimText) -> None:
    """Make the text the current answer. The audio that follows belongs to it, and the client already has its words."""
    context.state.turn.answer.give(verbatim_text.item_id, verbatim_text.text)


# The end.


def conclude(context: Context) -> None:
    """Add a spoken verbatim text to the conversation, unless it was interrupted.

    The conversation has the heard words of an interrupted text already.
    """
    verbatim_text, turn = current_verbatim(context), context.state.turn
    if verbatim_text is None or turn.is_cut or (turn.current is not None and turn.current.is_interrupted):
        return
    _add_to_conversation(context, verbatim_text.item_id, verbatim_text.text)
    context.state.playback.set_text(verbatim_text.item_id, verbatim_text.text)
    turn.unproven = turn.current if turn.current is not None and not turn.current.is_proven else None


def withdraw(context: Context, request: ResponseRequest, verbatim_text: VerbatimText) -> ResponseRequest:
    """Remove a verbatim text from the conversation, because the response that seemed to speak it was another one.

    Return the request for the text. It has another item id, because the upstream may acknowledge the first item late.
    """
    context.state.playback.disown(verbatim_text.item_id)
    replace_by_heard(context, verbatim_text.item_id, "", is_whole=True)
    again = msgspec.structs.replace(verbatim_text, item_id=context.state.new_id())
    return msgspec.structs.replace(request, verbatim=again)


def send_in_writing(context: Context, verbatim_text: VerbatimText) -> None:
    """Send a verbatim text to the client of an agent without a voice, and end the agent's turn."""
    _send_text_once(context, verbatim_text)
    _add_to_conversation(context, verbatim_text.item_id, verbatim_text.text)
    context.state.turn.has_started_speaking = False
    end_turn(context)


def _add_to_conversation(context: Context, item_id: str, content: str, *, is_lost: bool = False) -> None:
    item = text.message_item(item_id, "assistant", content)
    state = context.state
    state.verbatim_item_ids = newest(state.verbatim_item_ids, item_id, MAX_VERBATIM)
    context.state.ledger.add(item)
    # A lost upstream takes no item. The next one gets the whole ledger.
    if not is_lost:
        create_item(context, item)


# Interruption.


def replace_by_heard(context: Context, item_id: str, words: str, *, is_whole: bool) -> None:
    """Replace an interrupted verbatim text in the conversation by the words that the caller heard.

    `is_whole` is true if the conversation holds the whole text. A text item cannot be truncated (upstream 7.2). So the
    session deletes the item, and creates another item with the heard words.
    """
    # The upstream's conversation and the ledger lack an item that the upstream refused.
    if is_whole and correct_item(context, item_id, ""):
        context.to_upstream(openai.ConversationItemDelete(item_id=item_id))
    if words:
        _add_to_conversation(context, context.state.new_id(), words)


def keep_heard(context: Context, answer: ItemDelivery) -> None:
    """Add the heard words of an interrupted verbatim text to the conversation.

    They are estimated from the duration of the received audio. So call this only if the caller has heard all of it.
    """
    verbatim_text = current_verbatim(context)
    if verbatim_text is not None and answer.received_s:
        spoken_before = verbatim_text.text.removesuffix(verbatim_text.rest)
        words = spoken_before + speech.heard(verbatim_text.rest, answer.received_s)
        replace_by_heard(context, verbatim_text.item_id, words, is_whole=False)


def is_verbatim_item(context: Context, item_id: str) -> bool:
    """Whether an item is a verbatim text. Its audio is not in the upstream's conversation, and cannot be truncated."""
    current = current_verbatim(context)
    return item_id in context.state.verbatim_item_ids or (current is not None and current.item_id == item_id)


def rest_request(
    context: Context, request: ResponseRequest, verbatim_text: VerbatimText, answer: ItemDelivery, *, is_lost: bool
) -> ResponseRequest | None:
    """Return the request for the part still to be spoken, after the upstream was lost or its response failed.

    Return None, and end the turn, if nothing is left, or if the agent shall stop after an interruption
    (`interrupted_answer`). `is_lost` means that the upstream was lost.
    """
    heard = speech.heard(verbatim_text.rest, answer.received_s) if answer.received_s else ""
    rest = verbatim_text.rest[len(heard) :].strip()
    # With `stop`, a text of which nothing was heard is still spoken.
    if rest and not (heard and context.options.interrupted_answer == "stop"):
        context.state.turn.is_resumed = True
        return msgspec.structs.replace(
            request, verbatim=msgspec.structs.replace(verbatim_text, rest=rest, is_sent=True)
        )
    spoken = verbatim_text.text.removesuffix(rest).strip()
    _add_to_conversation(context, verbatim_text.item_id, spoken, is_lost=is_lost)
    context.state.playback.set_text(verbatim_text.item_id, spoken)
    end_turn(context)
    return None
