"""Handlers of a lost upstream: interrupt the work, dial again, warn the client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors.restart import Decision, Loss, LossKind
from router.deepgram import messages as deepgram
from router.session.deadlines import Wait, length_s
from router.session.handlers import delivery
from router.session.handlers.ending import end_lost_session
from router.session.handlers.resume import interrupt_work, keep_verbatim_requests
from router.session.handlers.takeover import release_standby, take_over
from router.session.state.states import KEEP, StandbyState
from router.session.state.upstream import UpstreamLink

if TYPE_CHECKING:
    from actors import messages
    from router.openai import codec as openai_codec
    from router.session.machine import Session
    from router.session.state.states import Keep

UPSTREAM_WAITS: Final = (
    Wait.SESSION_CREATED,
    Wait.SESSION_UPDATED,
    Wait.UPDATE,
    Wait.ITEM_ACK,
    Wait.FIRST_EVENT,
    Wait.SILENCE,
    Wait.RESPONSE,
    Wait.ASK_AGAIN,
    Wait.ROLLOVER,
    Wait.MICROPHONE,
    Wait.MANUAL_COMMIT,
    Wait.COMMIT,
)
"""Those that belong to the upstream that is lost; a function's answer is still waited for."""

# What makes us give an upstream up.


def upstream_silent(session: Session, fired: messages.TimerFired) -> None:
    """The upstream did not do in time what it has to."""
    wait = Wait(fired.name)
    session.log(logging.WARNING, f"the upstream is given up: {wait.value} ran out")
    session.abandon(Loss(kind=LossKind.SILENT, cause=wait.value))


def upstream_malformed(session: Session, malformed: openai_codec.Malformed) -> None:
    """The upstream sent something that is no event."""
    session.log(logging.ERROR, f"the upstream sent a malformed frame: {malformed.problem}")
    session.abandon(Loss(kind=LossKind.MALFORMED, cause=malformed.problem[:100]))


# Making it good.


def upstream_lost(session: Session, lost: messages.UpstreamLost) -> Keep | None:
    """Go on with the upstream that stands ready, or dial again, or say why not. What was under way is cut off first."""
    state = session.state
    has_spare = state.standby_state is StandbyState.SEEDED
    if lost.verdict.decision is Decision.TEAR_DOWN and not has_spare:
        end_lost_session(session, lost)
        return KEEP
    session.stop_waiting(*UPSTREAM_WAITS)
    state.user_speech.is_on = False
    delivery.give_up_transcripts(session)  # of what this upstream heard, none will come
    interrupt_work(session)
    keep_verbatim_requests(session, state.upstream.items.give_up_waiting())
    _warn(session, lost)
    state.lost = lost
    if has_spare:
        _switch_to_standby(session)
        return KEEP
    release_standby(session)
    state.upstream = state.next_link()
    session.wait_for(Wait.REPLUG, lost.verdict.delay_s + length_s(Wait.REPLUG, session.options.deadlines))
    session.open_upstream(state.upstream.generation, state.route, delay_s=lost.verdict.delay_s)
    return None


def _switch_to_standby(session: Session) -> None:
    state = session.state
    if state.standby is not None:
        state.upstream, state.standby, state.standby_state = state.standby, None, StandbyState.NONE
        take_over(session, since=state.standby_sequence)
        session.schedule_rollover()


def forget_upstream(session: Session, _lost: messages.UpstreamLost) -> None:
    """The upstream that was dialled in advance is gone before it was needed: it is dialled again when it is."""
    session.stop_waiting(*UPSTREAM_WAITS)
    session.state.upstream = UpstreamLink(0)


def _warn(session: Session, lost: messages.UpstreamLost) -> None:
    if session.state.is_applied:
        cause = session.options.redact(lost.loss.cause)
        description = (
            f"the connection to the model was lost ({cause}) and is made again; an Error follows if it cannot be"
        )
        session.to_client(deepgram.Warning(description=description, code="UPSTREAM_RESTARTED"))
