"""The choice of a session's next upstream, and the verdict over a lost one."""

import pytest

from actors.connections.upstream import DialTarget
from actors.record import SessionRecord, SessionState
from actors.restart import Decision, Loss, LossKind
from actors.spec import SessionSpec
from actors.upstream_choice import choose_position, has_to_leave, judge
from tests.support.engine.sessions import CRASH_FRAME, ScriptedMachine

LOST = Loss(kind=LossKind.SILENT, cause="silent")


@pytest.fixture
def paused():
    """The positions that an operator has paused."""
    return set()


@pytest.fixture
def session(dispatcher, paused):
    """A session with three upstreams, of which it uses the first."""
    spec = SessionSpec(
        session_id="s1",
        restarts=3,
        deliver_timeout_s=5.0,
        machine=ScriptedMachine(),
        dial_target=lambda route, _position: DialTarget(url=route),
        dialler=lambda _target: None,
        crash_frame=CRASH_FRAME,
        upstreams=3,
        is_paused=paused.__contains__,
        is_fatal=lambda reason: reason == "no_credit",
    )
    return SessionRecord(spec, dispatcher)


def test_the_upstream_in_use_is_dialled_unless_it_is_paused(session, paused):
    assert choose_position(session) == 0
    paused.add(0)
    assert choose_position(session) == 1
    paused.update({1, 2})
    assert choose_position(session) is None


def test_a_position_that_the_verdict_chose_is_dialled_once_without_another_choice(session):
    session.history.position, session.history.is_chosen = 2, True
    assert choose_position(session) == 2
    assert not session.history.is_chosen


def test_a_lost_upstream_costs_a_restart_and_a_lost_standby_none(session):
    session.standbys |= {2}
    loss, verdict = judge(session, 2, LOST)
    assert (loss, verdict.decision, session.history.restarts) == (LOST, Decision.RESTART, 0)
    assert session.standbys == {2}
    loss, verdict = judge(session, 1, LOST)
    assert (loss, verdict.decision, session.history.restarts) == (LOST, Decision.RESTART, 1)
    assert session.standbys == set()


def test_a_reason_that_the_router_knows_as_fatal_makes_a_loss_fatal(session):
    loss, _ = judge(session, 1, Loss(kind=LossKind.CLOSED, cause="closed", reason="no_credit"))
    assert loss.is_fatal


def test_a_draining_session_replaces_no_upstream(session):
    session.is_draining = True
    assert judge(session, 1, LOST)[1].decision is not Decision.RESTART


def test_a_session_leaves_a_paused_upstream_where_there_is_another(session, paused):
    assert not has_to_leave(session, 0)
    paused.add(0)
    assert has_to_leave(session, 0)
    assert not has_to_leave(session, 1)
    paused.update({1, 2})
    assert not has_to_leave(session, 0)


@pytest.mark.parametrize("what", ["is draining", "has begun to end"])
def test_a_session_that_ends_anyway_stays_where_it_is(session, paused, what):
    paused.add(0)
    if what == "is draining":
        session.is_draining = True
    else:
        session.state = SessionState.ENDING
    assert not has_to_leave(session, 0)
