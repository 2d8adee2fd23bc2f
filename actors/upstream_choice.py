"""The choice of a session's next upstream, and the verdict over a lost one, by the restart policy."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from actors import lifecycle, restart

if TYPE_CHECKING:
    from actors.record import SessionRecord


def choose_position(session: SessionRecord) -> int | None:
    """Return the position of the upstream to dial.

    Return None if the present upstream is paused, and each other one is paused, or has refused for good.
    """
    spec, history = session.spec, session.history
    is_chosen, history.is_chosen = history.is_chosen, False
    if spec.is_paused(history.position):
        positions = restart.positions_from(0, history, spec.upstreams, spec.is_paused)
    elif is_chosen:
        return history.position
    else:
        # An upstream that refused is dialled once more if the machine requests it.
        others = restart.positions_from(history.position, history, spec.upstreams, spec.is_paused)
        positions = [history.position, *(it for it in others if it != history.position)]
    return spec.choose(positions, None) if positions else None


def judge(session: SessionRecord, generation: int, loss: restart.Loss) -> tuple[restart.Loss, restart.Verdict]:
    """Return the loss of a generation, and the verdict over it.

    The returned loss is fatal if `loss` is, or if `SessionSpec.is_fatal` finds its reason fatal. The loss of a standby
    costs no restart of the budget.
    """
    spec, is_in_use = session.spec, generation not in session.standbys
    if not loss.is_fatal and spec.is_fatal(loss.reason):
        loss = msgspec.structs.replace(loss, is_fatal=True)
    has_other_key = spec.note_loss(generation, loss)
    # A standby costs no restart of the budget: the upstream in use still serves the session.
    if not is_in_use:
        return loss, restart.Verdict(decision=restart.Decision.RESTART, position=session.history.position)
    verdict = restart.decide(
        loss,
        session.history,
        restarts=spec.restarts,
        upstreams=spec.upstreams,
        is_draining=session.is_draining,
        is_paused=spec.is_paused,
        choose=spec.choose,
        has_other_key=has_other_key,
        jitter=random.uniform(-1, 1),  # noqa: S311 - it need not be hard to guess
    )
    session.standbys = lifecycle.NO_GENERATIONS  # a standby takes over: from now on the policy judges its loss
    return loss, verdict


def has_to_leave(session: SessionRecord, position: int) -> bool:
    """Whether a live session uses the paused upstream at a position, and can go to another upstream."""
    spec = session.spec
    is_there = session.is_live and session.history.position == position
    if not is_there or session.is_draining or not spec.is_paused(position):  # a draining session ends where it is
        return False
    return bool(restart.positions_from(0, session.history, spec.upstreams, spec.is_paused))
