"""Handlers of what the user writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deepgram import messages as deepgram
from router.session.deadlines import Wait
from router.session.handlers import barge_in
from router.session.handlers.items import create_item
from router.session.state.turn import ResponseRequest
from router.translation import text

if TYPE_CHECKING:
    from router.session import inputs
    from router.session.context import Context

# The user writes.


def inject_user_message(context: Context, message: deepgram.InjectUserMessage) -> None:
    """Echo a user's message at once, and add it to the conversation. While the agent speaks, it interrupts."""
    if context.state.playback.is_audible(context.now_s):
        barge_in.silence(context)
    context.to_client(deepgram.ConversationText(role="user", content=message.content))
    add_user_message(context, message)


def add_early_user_message(context: Context, message: inputs.EchoedUserMessage) -> None:
    """Add a user's message that came while there was no upstream. What is still heard of the agent, it interrupts."""
    if context.state.playback.is_audible(context.now_s):
        barge_in.silence(context)
    add_user_message(context, message)


def add_user_message(context: Context, message: deepgram.InjectUserMessage | inputs.EchoedUserMessage) -> None:
    """Add a user's message to the conversation. A response is asked for once the upstream has the item.

    Asking sooner is what made the upstream close with code 1000 before it answered.
    """
    item = text.message_item(context.state.new_id(), "user", message.content)
    context.state.ledger.add(item)
    context.state.latency.mark("asked_s", context.now_s)
    if not context.state.upstream.items.awaits_acknowledgement:
        context.wait(Wait.ITEM_ACK)
    create_item(context, item, request=ResponseRequest())
