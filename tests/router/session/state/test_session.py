"""The memory of a session as a whole."""

import pytest

from router.session.state.pending import ResponseRequest
from router.session.state.session import Ids
from router.session.state.states import ResponseState, UserTurnState
from router.session.state.user_turn import UserTurn
from tests.support.machine.playbook import SESSION_ID, Playbook

MAX_ID_CHARS = 32


def state_of_a_ready_session():
    return Playbook().ready().session.state


def test_ids_differ_and_are_short_enough_for_an_upstream():
    new_id = Ids(SESSION_ID)
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert max(map(len, ids)) <= MAX_ID_CHARS
    assert Ids("another-session")() not in ids


def test_generations_are_counted_across_the_upstream_in_use_and_the_standby_one():
    state = state_of_a_ready_session()
    assert [state.next_link().generation for _ in range(2)] == [state.upstream.generation + 1, state.generation]


def respond(state):
    state.turn.response = ResponseState.ACTIVE


def request(state):
    state.pending.add(ResponseRequest())


def await_an_answer(state):
    state.user_turns.owed = (UserTurn(),)


def let_the_user_speak(state):
    state.user_turns.current.phase = UserTurnState.SPEAKING


def await_a_transcript(state):
    state.transcripts.expect("u")


def call(state):
    state.calls.outstanding["c"] = None


@pytest.mark.parametrize(
    "begin",
    [
        respond,
        request,
        await_an_answer,
        let_the_user_speak,
        await_a_transcript,
        call,
    ],
)
def test_each_kind_of_work_makes_a_session_busy(begin):
    state = state_of_a_ready_session()
    assert not state.is_busy
    begin(state)
    assert state.is_busy
