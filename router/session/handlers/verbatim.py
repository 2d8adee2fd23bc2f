"""Handlers of what the agent says word for word, on its own or a client's behalf.

The API has no way to have a text said. A response outside the conversation is told to say exactly this (reference,
2.5); its audio is played, its own transcript is not told: the client's text is the one that was given, ahead of the
audio. Only when it has been said is it put into the conversation, and the ledger: as a text, once, and as far as it
was heard. To the turn it is a response like any other: one at a time, with the same deadlines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.openai import events as openai
from router.session.handlers import delivery
from router.session.handlers.agent_output import end_turn, start_speaking
from router.session.handlers.items import correct_item, create_item
from router.translation import session_config, speech, text

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.turn import Answer, ResponseRequest, VerbatimText

MARK: Final = {"switchboard": "statement"}
"""The metadata of such a response: its response.created brings it back."""


def current_verbatim(context: Context) -> VerbatimText | None:
    """What the response that is requested or active is to say, if that is given."""
    request = context.state.turn.current_request
    return request.verbatim if request is not None else None


def is_marked(event: openai.ResponseCreated) -> bool:
    """Whether this response was asked for to say a statement."""
    metadata = event.response.metadata or {}
    return all(metadata.get(key) == value for key, value in MARK.items())


def parameters(verbatim_text: VerbatimText) -> openai.ResponseParameters:
    """What the response is asked for with. Neither the conversation nor the tools are its business."""
    return openai.ResponseParameters(
        conversation="none",
        input=[],
        instructions=speech.verbatim(verbatim_text.rest),
        output_modalities=["audio"],
        tools=[],
        tool_choice="none",
        metadata=MARK,
    )


def has_voice(context: Context) -> bool:
    """Whether the agent speaks at all, as Settings or a client's own updates have it."""
    asked = session_config.first_think(context.state.agent).outputModalities
    return context.state.changes.get("output_modalities", asked) != ["text"]


def begin(context: Context, request: ResponseRequest) -> None:
    """Its response is about to be asked for: tell the client the text, ahead of the audio, and once."""
    verbatim_text: Any = request.verbatim
    _send_text_once(context, verbatim_text)
    sent = msgspec.structs.replace(verbatim_text, is_sent=True)
    context.state.turn.current_request = msgspec.structs.replace(request, verbatim=sent)
    expect(context, sent)


def _send_text_once(context: Context, verbatim_text: VerbatimText) -> None:
    if not verbatim_text.is_sent:
        start_speaking(context, None)
        context.state.latency.mark("text_s", context.now_s)
        delivery.send_text(context, verbatim_text.item_id, verbatim_text.text)


def expect(context: Context, verbatim_text: VerbatimText) -> None:
    """What is played from now on is this item, and its text is told."""
    answer = context.state.turn.answer
    answer.item_id = verbatim_text.item_id
    answer.transcript = answer.sent_text = verbatim_text.text
    answer.sent_chars = len(verbatim_text.text)
    answer.is_spoken = True


def is_another(context: Context, event: openai.ResponseCreated) -> bool:
    """Whether this response is not the one that says our statement: the upstream answers the user beside it."""
    return current_verbatim(context) is not None and not is_marked(event) and context.state.turn.awaits_answer


def is_late(context: Context, event: openai.ResponseCreated) -> bool:
    """Whether this response says a statement that nobody waits for any more."""
    return is_marked(event) and current_verbatim(context) is None


# Its end.


def conclude(context: Context) -> None:
    """It has been said: put it into the conversation. What was heard of one that was interrupted is there already."""
    verbatim_text, turn = current_verbatim(context), context.state.turn
    if verbatim_text is None or turn.response_id in turn.interrupted or turn.is_interrupted_early:
        return
    _remember(context, verbatim_text.item_id, verbatim_text.text)
    context.state.playback.set_text(verbatim_text.item_id, verbatim_text.text)


def send_in_writing(context: Context, verbatim_text: VerbatimText) -> None:
    """The agent has no voice: its text is all there is of the turn."""
    _send_text_once(context, verbatim_text)
    _remember(context, verbatim_text.item_id, verbatim_text.text)
    context.state.turn.has_started_speaking = False
    end_turn(context)


def _remember(context: Context, item_id: str, content: str, *, is_lost: bool = False) -> None:
    item = text.message_item(item_id, "assistant", content)
    context.state.verbatim_items.append(item_id)
    context.state.ledger.add(item)
    if not is_lost:  # else the next upstream will be told the ledger
        create_item(context, item)


def withdraw(context: Context, item_id: str, words: str, *, is_whole: bool) -> None:
    """The user has interrupted it: so much was heard. A text cannot be truncated: it is replaced (reference, 2.4)."""
    if is_whole:
        context.to_upstream(openai.ConversationItemDelete(item_id=item_id))
        correct_item(context, item_id, "")
    if words:
        _remember(context, context.state.new_id(), words)


def leave_unsaid(context: Context, answer: Answer) -> None:
    """The user has interrupted it, and has heard all that there was of it."""
    verbatim_text = current_verbatim(context)
    if verbatim_text is not None and answer.played_s:
        before = verbatim_text.text.removesuffix(verbatim_text.rest)
        withdraw(
            context, verbatim_text.item_id, before + speech.heard(verbatim_text.rest, answer.played_s), is_whole=False
        )


def is_verbatim_item(context: Context, item_id: str) -> bool:
    """Whether this item is one of ours: its audio is no part of the conversation upstream."""
    now = current_verbatim(context)
    return item_id in context.state.verbatim_items or (now is not None and now.item_id == item_id)


def interrupt(context: Context, request: ResponseRequest, answer: Answer, *, is_lost: bool) -> ResponseRequest | None:
    """Its upstream is lost, or failed over it: what is still to be said."""
    verbatim_text: Any = request.verbatim
    heard = speech.heard(verbatim_text.rest, answer.played_s) if answer.played_s else ""
    rest = verbatim_text.rest[len(heard) :].strip()
    if rest and not (heard and context.options.interrupted_answer == "stop"):
        context.state.turn.is_resumed = True
        rest_of_it = msgspec.structs.replace(verbatim_text, rest=rest, is_sent=True)
        return msgspec.structs.replace(request, verbatim=rest_of_it)
    spoken = verbatim_text.text.removesuffix(rest).strip()
    _remember(context, verbatim_text.item_id, spoken, is_lost=is_lost)
    context.state.playback.set_text(verbatim_text.item_id, spoken)
    end_turn(context)
    return None
