"""Find the request that a response belongs to, if there is one.

Metadata tells requested responses apart. Some upstreams return none, and some do not announce their responses. Then
the order of events decides, and it may leave a request *doubtful* (docs/decisions/0027).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.openai import events as openai
from router.session.handlers import verbatim
from router.session.handlers.agent_output import deliver_withheld
from router.session.handlers.items import CUT_EVENT_ID
from router.session.state.origin import Origin, answers_request, is_marked, origin_of
from router.session.state.queues import kept

if TYPE_CHECKING:
    from router.session.context import Context


def find_origin(context: Context, response: openai.Response) -> Origin:
    """Return the origin of a response that begins, and record what its metadata shows about the upstream."""
    state = context.state
    sent = state.pending.in_flight
    origin = origin_of(response, sent, is_echoing=echoes(context), is_owed=may_answer_speech(context))
    if is_marked(response):
        # An upstream that returns metadata once always does. So the order of responses decides nothing from now on.
        state.echoes = kept(state.echoes, state.upstream.position, True)
        state.turn.doubtful_id = None
        if origin is Origin.REQUESTED and sent is not None:
            sent.is_proven = True
        _speak_again(context, response)
    # If an upstream returns no metadata, only the null conversation shows that a verbatim text begins too late.
    is_unproven = origin is Origin.OUTSIDE_REQUESTED and not response.metadata and not echoes(context)
    if (origin in (Origin.OUTSIDE, Origin.LATE) or is_unproven) and state.turn.take_overtaken():
        return Origin.LATE
    if origin is not Origin.REQUESTED:
        return origin
    if _answers_doubtful_request(context, response):
        return Origin.LATE
    # An upstream takes events in order: it has the doubtful request before the item that it has not acknowledged.
    is_behind = sent is not None and sent.request.is_presumed
    return Origin.UPSTREAM if is_behind and _takes_doubtful_request(context) else origin


def _speak_again(context: Context, response: openai.Response) -> None:
    """Request the last verbatim text again if its own response begins only now.

    The response that was taken for it was the upstream's own. The one that begins now is late, and is cancelled.
    """
    turn = context.state.turn
    spoken, turn.unproven = turn.unproven, None
    if spoken is not None and spoken.request.verbatim is not None and answers_request(response, spoken):
        context.state.pending.put_first(verbatim.withdraw(context, spoken.request, spoken.request.verbatim))
        deliver_withheld(context, spoken)


def _answers_doubtful_request(context: Context, response: openai.Response) -> bool:
    """Whether a response belongs to the doubtful request, and not to the verbatim text in flight.

    `Turn.doubtful_id` names the doubtful request. If the response belongs to that request, forget the request.
    """
    sent, turn = context.state.pending.in_flight, context.state.turn
    is_text_next = sent is not None and sent.request.verbatim is not None
    if turn.doubtful_id is None or not is_text_next or response.conversation_id is None:
        return False
    turn.doubtful_id = None
    return True


def _takes_doubtful_request(context: Context) -> bool:
    """Whether a response belongs to the doubtful request. If it does, forget that request.

    The request in flight then still waits for its own response, under the same deadline.
    """
    sent, turn = context.state.pending.in_flight, context.state.turn
    if turn.doubtful_id is None or sent is None or sent.is_interrupted or not sent.request.is_general:
        return False
    turn.doubtful_id = None
    return True


def take_unannounced(context: Context) -> None:
    """Count a response without response.created as the response to the doubtful request, if there is such a request.

    The request in flight then still waits for its own response. Two responses were possible: to the user's speech, and
    to the doubtful request. The upstream announced one of them, so it does not announce responses of the other kind. An
    unannounced response is therefore of the other kind (docs/decisions/0027).
    """
    turn = context.state.turn
    if turn.current is context.state.pending.in_flight and _takes_doubtful_request(context):
        turn.current = None


def rejects_overtaken(context: Context, response_id: str | None) -> bool:
    """Whether an event belongs to the response of a request that a rule has ended. If it does, cancel that response."""
    turn = context.state.turn
    if not turn.is_overtaken(response_id):
        return False
    if not turn.take_overtaken():
        turn.doubtful_id = None
    turn.mute(response_id)
    context.to_upstream(openai.ResponseCancel(response_id=response_id, event_id=CUT_EVENT_ID))
    return True


def may_answer_speech(context: Context) -> bool:
    """Whether the upstream could still begin an answer to the user's speech by itself."""
    turns, pending = context.state.user_turns, context.state.pending
    return bool(turns.owed) or turns.by_hand is not None or pending.answers_speech


def echoes(context: Context) -> bool | None:
    """Return whether the upstream returns the metadata of a request, or None if it has not shown this yet."""
    return context.state.echoes.get(context.state.upstream.position)
