"""The user's turns: the places that a turn moves through, and the microphone's gaps."""

from router.session import inputs
from router.session.state.states import UserTurnState
from router.session.state.user_turn import FILL_AFTER_S, MAX_OWED, STOPPED_S, UserTurns


def enter(turns, phase):
    turns.subject = turns.current
    turns.subject.phase = phase
    turns.move_subject()


def owed(*item_ids):
    turns = UserTurns()
    for item_id in item_ids:
        turns.current.item_id = item_id
        enter(turns, UserTurnState.AWAITING_ANSWER)
    return turns


def test_a_turn_that_is_owed_an_answer_makes_room_for_the_next_speech():
    turns = owed("u1", "u2")
    assert [turn.item_id for turn in turns.owed] == ["u1", "u2"]
    assert turns.current.phase is UserTurnState.IDLE
    assert turns.current not in turns.owed


def test_a_turn_that_is_answered_is_forgotten():
    turns = owed("u1", "u2")
    turns.subject = turns.owed[0]
    turns.subject.phase = UserTurnState.IDLE
    turns.move_subject()
    assert [turn.item_id for turn in turns.owed] == ["u2"]


def test_the_oldest_of_too_many_turns_is_forgotten():
    assert len(owed(*map(str, range(MAX_OWED + 3))).owed) == MAX_OWED


def test_a_noise_is_one_turn_and_any_other_signal_is_about_all():
    turns = owed("u1", None, "u3")
    assert [turn.item_id for turn in turns.about(inputs.NoiseFound("u3"))] == [None]
    assert [turn.item_id for turn in turns.about(inputs.NoiseFound(None))] == ["u1"]
    assert [turn.item_id for turn in turns.about(inputs.SpeechAnswered())] == ["u1", None, "u3"]
    assert owed("u1").about(inputs.NoiseFound("another")) == []


def test_the_floor_is_the_user_s_from_the_detected_start_to_the_commit():
    turns = UserTurns()
    assert not turns.has_floor
    for phase in (UserTurnState.SPEAKING, UserTurnState.STOPPED):
        enter(turns, phase)
        assert turns.has_floor
    enter(turns, UserTurnState.COMMITTING)
    assert not turns.has_floor
    turns.current.is_detected = True
    assert turns.has_floor


def test_a_long_gap_between_two_frames_shows_that_the_client_stops_its_microphone():
    turns = UserTurns()
    turns.record_audio(100.0)
    turns.record_audio(100.0 + STOPPED_S)
    assert turns.fill_after_s == STOPPED_S
    turns.record_audio(100.1 + 2 * STOPPED_S)
    assert turns.fill_after_s == FILL_AFTER_S


def test_a_refused_commit_takes_the_earlier_ones_with_it_and_leaves_the_later_ones():
    turns = UserTurns()
    for event_id in "abc":
        turns.note_sent(inputs.CommitSent(is_by_client=True, event_id=event_id))
    turns.withdraw_commit("unknown")
    assert [it.event_id for it in turns.commits] == ["a", "b", "c"]
    turns.withdraw_commit("b")
    assert [it.event_id for it in turns.commits] == ["c"]


def test_a_clear_takes_the_commits_before_it_and_leaves_those_after_it():
    turns = UserTurns()
    assert turns.take_clear() is None
    turns.note_sent(inputs.CommitSent(is_by_client=True, event_id="a"))
    turns.note_sent(inputs.ClearSent("c", 0))
    turns.note_sent(inputs.CommitSent(is_by_client=True, event_id="b"))
    assert turns.take_clear() is not None
    assert [it.event_id for it in turns.commits] == ["b"]
    assert turns.take_clear() is None


def test_a_commit_is_taken_before_a_clear_on_its_way_or_behind_it():
    turns = UserTurns()
    turns.note_sent(inputs.ClearSent("c", 0))
    turns.note_sent(inputs.CommitSent(is_by_client=True, event_id="a"))
    assert turns.take_commit().event_id == "a"
    assert turns.last_clear is not None


def test_a_refused_commit_shows_that_the_clear_before_it_is_lost():
    turns = UserTurns()
    for event_id in "ab":
        turns.note_sent(inputs.ClearSent("c", 0))
        turns.note_sent(inputs.CommitSent(is_by_client=True, event_id=event_id))
    turns.withdraw_commit("a")
    assert [type(it) for it in turns.unanswered] == [inputs.ClearSent, inputs.CommitSent]
    turns.withdraw_commit("b")
    assert turns.unanswered == ()
