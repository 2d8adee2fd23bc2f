"""Add the user's typed messages to the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.handlers import barge_in, early_input
from router.session.handlers.items import create_item
from router.session.state.pending import ResponseRequest
from router.translation import text

if TYPE_CHECKING:
    from router.session import inputs
    from router.session.context import Context


def inject_user_message(context: Context, message: deepgram.InjectUserMessage) -> None:
    """Echo a user's message at once, and add it to the conversation.

    If the caller hears the agent, the message interrupts the agent.
    """
    if early_input.refuse_excess(context, context.state.pending, _request(message)):
        return
    # Before the echo: the words of the interrupted answer belong to the turn before it.
    if context.state.playback.is_audible(context.now_s):
        barge_in.stop_agent(context)
    context.to_client(deepgram.ConversationText(role="user", content=message.content))
    add_user_message(context, message)


def add_early_user_message(context: Context, message: inputs.EchoedUserMessage) -> None:
    """Add a user's message that came while no upstream was ready.

    The message interrupts the agent's audio that is still playing.
    """
    if context.state.playback.is_audible(context.now_s):
        barge_in.stop_agent(context)
    add_user_message(context, message)


def add_user_message(context: Context, message: deepgram.InjectUserMessage | inputs.EchoedUserMessage) -> None:
    """Add a user's message to the conversation. Request a response once the upstream has acknowledged the item.

    When a response.create came before that acknowledgement, the upstream closed with code 1000, and without an answer.
    """
    item = text.message_item(context.state.new_id(), "user", message.content)
    context.state.ledger.add(item)
    context.mark_question(context.now_s)
    # The deadline of the oldest unacknowledged item counts: more messages must not postpone it.
    if not context.state.pending.awaits_acknowledgement:
        context.wait(Wait.ITEM_ACK)
    item_id = create_item(context, item)
    context.state.pending.add(msgspec.structs.replace(_request(message), item_id=item_id, question_item=item_id))


def _request(message: deepgram.InjectUserMessage | inputs.EchoedUserMessage) -> ResponseRequest:
    return ResponseRequest(item_bytes=len(message.content))
