"""Have the agent speak a given text word for word: a greeting, or an InjectAgentMessage.

The API cannot speak a given text (upstream 3.3). A response outside the conversation is instructed to say exactly this
text. Its audio is played, and its own transcript is dropped: the client gets the given text, ahead of the audio. The
text joins the conversation and the ledger only when it was spoken: once, and as far as the caller heard it. To the
tables it is a response like any other, with the same deadlines, one at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
"""The metadata of such a response. Its response.created brings them back (upstream 5.3)."""


def current_verbatim(context: Context) -> VerbatimText | None:
    """Return the given text of the response in progress, or None."""
    request = context.state.turn.current_request
    return request.verbatim if request is not None else None


def is_marked(event: openai.ResponseCreated) -> bool:
    """Whether a response was requested to speak a given text."""
    metadata = event.response.metadata or {}
    return all(metadata.get(key) == value for key, value in MARK.items())


def parameters(verbatim_text: VerbatimText) -> openai.ResponseParameters:
    """Return the parameters of the response. Neither the conversation nor the tools may influence the words."""
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
    """Whether the agent speaks at all, by the Settings or by the client's own updates."""
    modalities = session_config.first_think(context.state.agent).outputModalities
    # The client's own session.update came later, so it counts.
    return context.state.session_changes.get("output_modalities", modalities) != ["text"]


# The begin.


def begin(context: Context, request: ResponseRequest, verbatim_text: VerbatimText) -> None:
    """Send the client the text once, ahead of the audio, before its response is created."""
    _send_text_once(context, verbatim_text)
    sent = msgspec.structs.replace(verbatim_text, is_sent=True)
    context.state.turn.current_request = msgspec.structs.replace(request, verbatim=sent)
    expect(context, sent)


def _send_text_once(context: Context, verbatim_text: VerbatimText) -> None:
    if not verbatim_text.is_sent:
        start_speaking(context)
        context.state.latency.mark("text_s", context.now_s)
        delivery.send_text(context, verbatim_text.item_id, verbatim_text.text)


def expect(context: Context, verbatim_text: VerbatimText) -> None:
    """Make the text the current answer: the audio that follows is its audio, and the client has its words."""
    answer = context.state.turn.answer
    answer.item_id = verbatim_text.item_id
    answer.transcript = answer.sent_text = verbatim_text.text
    answer.sent_chars = len(verbatim_text.text)
    answer.is_spoken = True


def is_other_response(context: Context, event: openai.ResponseCreated) -> bool:
    """Whether a response is the upstream's answer to the user, which begins in place of the given text."""
    # Some servers return no metadata. Without a question of the user's, the response can only be the requested one.
    return current_verbatim(context) is not None and not is_marked(event) and context.state.turn.awaits_answer


def is_late(context: Context, event: openai.ResponseCreated) -> bool:
    """Whether a response speaks a given text whose place another response took."""
    return is_marked(event) and current_verbatim(context) is None


# The end.


def conclude(context: Context) -> None:
    """Add a text that was spoken to the conversation. An interrupted one is there already, as far as it was heard."""
    verbatim_text, turn = current_verbatim(context), context.state.turn
    if verbatim_text is None or turn.response_id in turn.interrupted or turn.is_interrupted_early:
        return
    _add_to_conversation(context, verbatim_text.item_id, verbatim_text.text)
    context.state.playback.set_text(verbatim_text.item_id, verbatim_text.text)


def send_in_writing(context: Context, verbatim_text: VerbatimText) -> None:
    """Send the text of an agent without a voice, and end its turn."""
    _send_text_once(context, verbatim_text)
    _add_to_conversation(context, verbatim_text.item_id, verbatim_text.text)
    context.state.turn.has_started_speaking = False
    end_turn(context)


def _add_to_conversation(context: Context, item_id: str, content: str, *, is_lost: bool = False) -> None:
    item = text.message_item(item_id, "assistant", content)
    context.state.verbatim_item_ids.append(item_id)
    context.state.ledger.add(item)
    # A lost upstream takes no item. The next one gets the whole ledger.
    if not is_lost:
        create_item(context, item)


# Interruption.


def replace_by_heard(context: Context, item_id: str, words: str, *, is_whole: bool) -> None:
    """Keep only the words of an interrupted text that the caller heard. `is_whole`: the conversation has all of it.

    A text item cannot be truncated (upstream 7.2), so it is deleted, and created anew with these words.
    """
    if is_whole:
        context.to_upstream(openai.ConversationItemDelete(item_id=item_id))
        correct_item(context, item_id, "")
    if words:
        _add_to_conversation(context, context.state.new_id(), words)


def keep_heard(context: Context, answer: Answer) -> None:
    """Add the spoken part of an interrupted text to the conversation, where the caller heard all audio so far."""
    verbatim_text = current_verbatim(context)
    if verbatim_text is not None and answer.received_s:
        spoken_before = verbatim_text.text.removesuffix(verbatim_text.rest)
        words = spoken_before + speech.heard(verbatim_text.rest, answer.received_s)
        replace_by_heard(context, verbatim_text.item_id, words, is_whole=False)


def is_verbatim_item(context: Context, item_id: str) -> bool:
    """Whether an item is a given text. Its audio is no part of the conversation upstream, and cannot be truncated."""
    current = current_verbatim(context)
    return item_id in context.state.verbatim_item_ids or (current is not None and current.item_id == item_id)


def rest_request(
    context: Context, request: ResponseRequest, verbatim_text: VerbatimText, answer: Answer, *, is_lost: bool
) -> ResponseRequest | None:
    """Return the request for the part still to be spoken, after the upstream was lost or its response failed.

    Return None, and end the turn, where nothing is left, or the configuration says to stop there.
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
