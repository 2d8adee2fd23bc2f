"""The supervisor's record of a session."""

import pytest

from actors import lifecycle, messages
from actors.connections.upstream import DialTarget
from actors.record import SessionRecord, SessionState
from actors.spec import SessionSpec
from tests.support.engine.sessions import CRASH_FRAME, ScriptedMachine


@pytest.fixture
def session(dispatcher):
    spec = SessionSpec(
        session_id="s1",
        restarts=3,
        deliver_timeout_s=5.0,
        machine=ScriptedMachine(),
        dial_target=lambda route, _position: DialTarget(url=route),
        dialler=lambda _target: None,
        crash_frame=CRASH_FRAME,
    )
    return SessionRecord(spec, dispatcher)


def test_a_new_session_is_live_and_has_no_generation(session):
    info = session.info()
    assert (info.session_id, info.state, info.generation, info.restarts) == ("s1", "live", 0, 0)
    assert info.age_s >= 0


def test_the_facts_of_a_session_follow_its_record(session):
    session.state, session.generation, session.history.restarts = SessionState.ENDING, 3, 2
    info = session.info()
    assert (info.session_id, info.state, info.generation, info.restarts) == ("s1", "ending", 3, 2)


def test_a_message_to_an_actor_that_is_not_there_yet_is_dropped(session):
    assert session.tell(session.client, messages.SendToClient("hello")) is None


def test_an_actor_is_known_by_its_role_and_generation(session):
    stopped = lifecycle.ActorStopped("s1", lifecycle.Role.UPSTREAM, 2)
    session.running += ((lifecycle.Role.UPSTREAM, 2),)
    session.note_stopped(stopped.key)
    assert session.running == ()
