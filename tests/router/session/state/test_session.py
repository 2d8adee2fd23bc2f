"""The memory of a session as a whole."""

import pytest

from router.session.inputs import PassthroughSessionUpdate
from router.session.state.session import Ids
from router.session.state.states import ResponseState
from router.session.state.turn import ResponseRequest
from tests.support.machine.playbook import SESSION_ID, SETTINGS, Playbook

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


@pytest.mark.parametrize("is_passthrough", [True, False])
def test_only_one_kind_of_configuration_is_known(is_passthrough):
    update = {"type": "session.update", "session": {"type": "realtime"}}
    state = Playbook().ready(update if is_passthrough else SETTINGS).session.state
    assert state.is_passthrough is is_passthrough
    assert (state.deepgram_settings is None) is is_passthrough
    assert isinstance(state.settings, PassthroughSessionUpdate) is is_passthrough


def respond(state):
    state.turn.response = ResponseState.ACTIVE


def request(state):
    state.turn.request(ResponseRequest())


def await_an_answer(state):
    state.turn.awaits_answer = True


def let_the_user_speak(state):
    state.is_user_speaking = True


def await_a_transcript(state):
    state.transcripts.expect("u")


def call(state):
    state.calls.outstanding["c"] = None


def await_an_acknowledgement(state):
    state.upstream.items.register("i", "message", "user", ResponseRequest())


def resume(state):
    state.resume = ResponseRequest()


@pytest.mark.parametrize(
    "begin",
    [
        respond,
        request,
        await_an_answer,
        let_the_user_speak,
        await_a_transcript,
        call,
        await_an_acknowledgement,
        resume,
    ],
)
def test_each_kind_of_work_makes_a_session_busy(begin):
    state = state_of_a_ready_session()
    assert not state.is_busy
    begin(state)
    assert state.is_busy


def test_a_resumed_request_is_awaited_wherever_it_waits():
    resumed = ResponseRequest(is_resumed=True)
    state = state_of_a_ready_session()
    state.resume = ResponseRequest()
    assert not state.awaits_resumed
    state.resume = resumed
    assert state.awaits_resumed
    state.resume = None
    state.upstream.items.register("i", "message", "user", resumed)
    assert state.awaits_resumed
