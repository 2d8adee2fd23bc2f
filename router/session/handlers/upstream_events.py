"""Take acknowledgements of items, and errors, in a running session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.session import inputs
from router.session.deadlines import Wait
from router.session.handlers import function_calls, response_requests, updates, user_turn
from router.session.handlers.agent_output import deliver_text, drop_excess
from router.session.handlers.items import CUT_EVENT_ID, refuse_item
from router.session.handlers.refusals import abandon_refusing_upstream
from router.session.reports import MAX_LIMITS, limits_left
from router.session.state.queues import kept
from router.translation import errors, text

LITTLE: Final = 0.05
"""The remaining fraction of a limit below which the log warns."""

if TYPE_CHECKING:
    from actors import messages
    from router.openai import events as openai
    from router.session.context import Context


def item_added(
    context: Context, event: openai.ConversationItemAdded | openai.ConversationItemDone, *, is_done: bool = False
) -> None:
    """Record that the conversation holds an item, and open the gate of the response request that waited for it.

    `is_done` is true for conversation.item.done.
    """
    context.state.calls.record_name(event.item)
    if event.item.type == "mcp_approval_request" and event.item.id:
        function_calls.request_approval(context, event.item)
    # An item of the answer is the upstream's own, and acknowledges no item of the session (upstream 3.5).
    is_output = event.item.id is not None and context.state.turn.answer.find(event.item.id) is not None
    item_id = None if is_output else context.state.upstream.items.acknowledge(event.item, is_done=is_done)
    if item_id is not None and context.state.pending.acknowledge(item_id):
        _await_next_item(context)


def _await_next_item(context: Context) -> None:
    context.stop_waiting(Wait.ITEM_ACK)
    # The next unacknowledged item has the whole deadline for itself.
    if context.state.pending.awaits_acknowledgement:
        context.wait(Wait.ITEM_ACK)


def item_done(context: Context, event: openai.ConversationItemDone) -> None:
    """Record an item, and deliver the assistant's text if no earlier event had it.

    conversation.item.added and conversation.item.done both acknowledge an item. xAI sends no conversation.item.done
    (upstream 12.1).
    """
    item_added(context, event, is_done=True)
    item, turn = event.item, context.state.turn
    turn.answer.record_end(item)
    if item.type == "mcp_call":
        # The upstream ran this call: the next upstream gets it as a function call, which every upstream knows.
        output = item.output if item.output is not None else f"failed: {item.error}"
        context.state.ledger.add_finished_call(item.id, item.name or "", item.arguments or "{}", output)
    # The client has the text of the items that the session or the client created, and of closed items (upstream 5.7).
    is_known = context.state.upstream.items.is_ours(item.id) or item.id in turn.closed
    current = turn.current
    if current is not None and any(item_id == item.id for item_id, _ in current.withheld):
        turn.withhold(None, item.id, text.item_text(item))
    if text.is_assistant_message(item) and not is_known:
        content = text.item_text(item)
        part = turn.answer.find(item.id)
        if part is None and turn.claim_unnamed(item.id, content):
            return
        deliver_text(context, turn.answer, part or turn.answer.of_text(item.id, None), content)
        drop_excess(context, turn.answer)


def request_anyway(context: Context, _fired: messages.TimerFired) -> None:
    """Request the responses to unacknowledged items, because some upstreams never acknowledge an item."""
    context.log(logging.WARNING, "an item is not acknowledged: the response is requested anyway")
    context.state.pending.open_items()


# Errors of a running session.


def upstream_error(context: Context, event: openai.Error) -> None:
    """Pass an upstream's error on to the client, under its own code, unless the session handles the error itself.

    Some errors only report that an event came too late, such as a cancel. The client does not get these (upstream 8.2).
    """
    code = errors.code_of(event.error)
    # A benign error reports a race, and the call goes well.
    level = logging.DEBUG if code in errors.BENIGN else logging.WARNING
    context.log(level, f"the upstream sent an error: {code}: {event.error.message}")
    context.state.last_error = event.error
    if abandon_refusing_upstream(context, event.error):
        return
    if updates.take_refusal(context, event.error):
        return
    if code == errors.NOTHING_TO_COMMIT or _refuses_commit(context, event.error):
        # No `committed` event answers this commit.
        is_empty = code == errors.NOTHING_TO_COMMIT
        user_turn.forget_crossed(context, event.error.event_id)
        context.signal(inputs.CommitRefused(is_empty=is_empty, event_id=event.error.event_id))
    user_turn.withdraw_clear(context, event.error.event_id)
    # A refused request gets no response, so no later response has to be rejected as its own (docs/decisions/0027).
    if event.error.event_id is not None:
        context.state.turn.forget_request(event.error.event_id)
    refused = refuse_item(context, event.error)
    if refused is not None and context.state.pending.refuse(refused):
        _await_next_item(context)
    is_known = code in errors.BENIGN or event.error.event_id == CUT_EVENT_ID
    if not is_known and not response_requests.refuses_metadata(context, event.error):
        context.to_client(errors.client_error(event.error, context.options.redact))


def _refuses_commit(context: Context, error: openai.ErrorDetail) -> bool:
    turns = context.state.user_turns
    return error.event_id is not None and error.event_id in (turns.by_hand_id, *(it.event_id for it in turns.commits))


# The operator's account.


def record_rate_limits(context: Context, event: openai.RateLimitsUpdated) -> None:
    """Keep the rate limits of the operator's account.

    If little is left of a limit, write a warning to the log, at most once until that limit resets.
    """
    link = context.state.upstream
    link.rate_limits = {limit.name: limit for limit in (event.rate_limits or [])[:MAX_LIMITS]}
    context.report(limits_left(link.position, event))
    link.rates_warned = {name: until_s for name, until_s in link.rates_warned.items() if name in link.rate_limits}
    for limit in link.rate_limits.values():
        if not limit.limit or limit.remaining is None or limit.remaining >= limit.limit * LITTLE:
            continue
        if context.now_s >= link.rates_warned.get(limit.name, 0.0):
            until_s = context.now_s + (limit.reset_seconds or 0.0)
            link.rates_warned = kept(link.rates_warned, limit.name, until_s)
            left = f"{limit.remaining:g} of {limit.limit:g} {limit.name[:40]}"
            context.log(logging.WARNING, f"little is left of a rate limit of the account: {left}")
