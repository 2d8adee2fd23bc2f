"""Decide whether an InjectAgentMessage may be spoken now, by a table of its `behavior` and the party that speaks."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from router.deepgram import messages as deepgram
from router.session.handlers import barge_in, early_input, refusals
from router.session.state.pending import ResponseRequest, new_verbatim_text

if TYPE_CHECKING:
    from router.session.context import Context


class SpeakingParty(enum.Enum):
    """The party whose turn it is. Each value begins the sentence in InjectionRefused."""

    USER = "the user is speaking"
    AGENT = "the agent is speaking, or about to speak"
    NEITHER = "neither is speaking"


class Verdict(enum.Enum):
    """The decision on an injected message."""

    REFUSED = enum.auto()
    QUEUED = enum.auto()
    """The agent speaks it after the queued texts, or at once if none is queued."""
    INTERRUPTS = enum.auto()
    """The agent speaks it at once, in place of its current speech."""


VERDICTS: Final[dict[str, dict[SpeakingParty, Verdict]]] = {
    # As Deepgram documents it (client 6.1).
    "default": {
        SpeakingParty.USER: Verdict.REFUSED,
        SpeakingParty.AGENT: Verdict.REFUSED,
        SpeakingParty.NEITHER: Verdict.QUEUED,
    },
    "queue": {
        SpeakingParty.USER: Verdict.REFUSED,
        SpeakingParty.AGENT: Verdict.QUEUED,
        SpeakingParty.NEITHER: Verdict.QUEUED,
    },
    "interrupt": {
        SpeakingParty.USER: Verdict.INTERRUPTS,
        SpeakingParty.AGENT: Verdict.INTERRUPTS,
        SpeakingParty.NEITHER: Verdict.QUEUED,
    },
}


def inject_agent_message(context: Context, message: deepgram.InjectAgentMessage) -> None:
    """Let the agent speak a text, or answer with InjectionRefused or an Error."""
    # The schema has the text in `message`, the React component in `content` (client 9.3).
    content = message.message if message.message is not None else message.content
    if message.is_dynamic:
        description = "InjectAgentMessage: `is_dynamic` needs Think Live, which is not offered here"
        context.to_client(deepgram.Error(description=description, code="INVALID_SETTINGS"))
    elif content is None:
        description = "InjectAgentMessage: the field `message` is missing"
        context.to_client(deepgram.Error(description=description, code=refusals.UNPARSABLE))
    elif not content.strip():
        context.to_client(deepgram.InjectionRefused(message="there is nothing to say"))
    else:
        _inject(context, content, message.behavior or "default")


def _inject(context: Context, content: str, behavior: str) -> None:
    party = speaking_party(context)
    verdict = VERDICTS[behavior][party]
    if verdict is Verdict.REFUSED:
        context.to_client(deepgram.InjectionRefused(message=f"{party.value}: the message is dropped"))
        return
    turn, pending = context.state.turn, context.state.pending
    is_urgent = verdict is Verdict.INTERRUPTS
    request = ResponseRequest(verbatim=new_verbatim_text(context.state.new_id(), content, is_urgent=is_urgent))
    if not early_input.has_room(context, pending, request):
        context.to_client(deepgram.InjectionRefused(message="too many messages wait to be spoken: this one is dropped"))
        return
    if is_urgent and party is SpeakingParty.AGENT:
        barge_in.stop_agent(context)
        # The agent's answer may be requested, or about to begin at the upstream. A cancel that comes before
        # response.created may be lost (upstream 7.4), so the session cancels the answer when it begins.
        turn.cancels_next = bool(context.state.user_turns.owed)
        # The agent does not speak a response outside the conversation.
        if pending.in_flight is not None and not pending.in_flight.request.is_outside:
            pending.in_flight.is_interrupted = pending.in_flight.is_replaced = True
    pending.add(request)


def speaking_party(context: Context) -> SpeakingParty:
    """Return the party whose turn it is. The agent's turn lasts until the caller has heard its end."""
    state = context.state
    if state.user_turns.has_floor:
        return SpeakingParty.USER
    is_agents = state.turn.is_open or state.is_busy or state.playback.is_audible(context.now_s)
    return SpeakingParty.AGENT if is_agents else SpeakingParty.NEITHER
