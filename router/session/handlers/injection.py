"""Handlers of InjectAgentMessage: the client puts words into the agent's mouth. Whether it may is a table."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from router.deepgram import messages as deepgram
from router.session.handlers import barge_in, early_input, refusals
from router.session.state.states import ResponseState
from router.session.state.turn import ResponseRequest, new_verbatim_text

if TYPE_CHECKING:
    from router.session.context import Context


class SpeakingParty(enum.Enum):
    """Whose turn it is."""

    USER = "the user is speaking"
    AGENT = "the agent is speaking, or about to"
    NOBODY = "nobody is speaking"


class Verdict(enum.Enum):
    """What becomes of an injection."""

    REFUSED = enum.auto()
    SAID = enum.auto()
    """When its turn comes: at once, where nothing is to be said before it."""
    SAID_INSTEAD = enum.auto()
    """At once, and in the place of what is being said."""


VERDICTS: Final[dict[str, dict[SpeakingParty, Verdict]]] = {
    # Reference, 6.4.
    "default": {
        SpeakingParty.USER: Verdict.REFUSED,
        SpeakingParty.AGENT: Verdict.REFUSED,
        SpeakingParty.NOBODY: Verdict.SAID,
    },
    "queue": {
        SpeakingParty.USER: Verdict.REFUSED,
        SpeakingParty.AGENT: Verdict.SAID,
        SpeakingParty.NOBODY: Verdict.SAID,
    },
    "interrupt": {
        SpeakingParty.USER: Verdict.SAID_INSTEAD,
        SpeakingParty.AGENT: Verdict.SAID_INSTEAD,
        SpeakingParty.NOBODY: Verdict.SAID,
    },
}


def inject_agent_message(context: Context, message: deepgram.InjectAgentMessage) -> None:
    """Have the agent say a text, or refuse it."""
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
    whose = floor(context)
    verdict = VERDICTS[behavior][whose]
    if verdict is Verdict.REFUSED:
        context.to_client(deepgram.InjectionRefused(message=f"{whose.value}: the message is ignored"))
        return
    turn, items = context.state.turn, context.state.upstream.items
    is_urgent = verdict is Verdict.SAID_INSTEAD
    request = ResponseRequest(verbatim=new_verbatim_text(context.state.new_id(), content, is_urgent=is_urgent))
    if not early_input.has_room(context, [*turn.requests, *items.waiting], request):
        context.to_client(deepgram.InjectionRefused(message="too much waits to be said: the message is ignored"))
        return
    if is_urgent and whose is SpeakingParty.AGENT:
        barge_in.silence(context)
        turn.is_interrupted_early = turn.awaits_answer or turn.response is ResponseState.REQUESTED
    if is_urgent or not items.queue_behind(request):
        turn.request(request)


def floor(context: Context) -> SpeakingParty:
    """Whose turn it is. The agent's lasts until the caller can have heard it."""
    state = context.state
    if state.is_speaking:
        return SpeakingParty.USER
    is_agents = state.turn.is_open or state.is_under_way or state.playback.is_audible(context.now_s)
    return SpeakingParty.AGENT if is_agents else SpeakingParty.NOBODY
