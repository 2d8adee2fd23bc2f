"""The user's turn, from its detected start to the response that answers it."""

import base64

import pytest

from router.session.deadlines import Wait
from router.session.state.states import UserTurnState
from tests.support.machine.playbook import (
    Playbook,
    error,
    response_done,
    settings,
    text_done,
    transcribed,
    transcript_delta,
)
from tests.support.machine.timed_playbook import FRAME, TimedPlaybook, committed, created, speech, started, stopped

COMMIT = {"type": "input_audio_buffer.commit"}
MINE = {**COMMIT, "event_id": "mine"}
CLEAR = {"type": "input_audio_buffer.clear"}
CLEARED = {"type": "input_audio_buffer.cleared"}
UNASKED = {"type": "response.created", "response": {"id": "resp_v"}}
NOTHING = error("input_audio_buffer_commit_empty")
FORCE = {"type": "ForceEndTurn"}
LOUD = b"\x01\x02" * 2400
QUIET = bytes(4800)


def phase_of(book):
    return book.session.state.user_turns.current.phase


def commit_ids(book):
    return [event["event_id"] for event in book.sent("input_audio_buffer.commit")]


def clear_ids(book):
    return [event["event_id"] for event in book.sent("input_audio_buffer.clear")]


def owed_to(book):
    return [turn.item_id for turn in book.session.state.user_turns.owed]


# Speech.


def test_a_detected_turn_passes_through_its_states():
    book = Playbook().ready()
    phases = []
    for event in speech("u1"):
        book.upstream(event)
        phases.append(phase_of(book))
    assert phases == [UserTurnState.SPEAKING, UserTurnState.STOPPED, UserTurnState.IDLE]
    assert owed_to(book) == ["u1"]
    book.upstream(UNASKED)
    assert owed_to(book) == []


def test_speech_that_starts_again_before_its_commit_is_the_same_turn():
    book = Playbook().ready().upstream(started(), stopped(), started())
    assert phase_of(book) is UserTurnState.SPEAKING
    assert Wait.COMMIT.value not in book.timers
    assert Wait.SPEECH.value in book.timers


def test_interim_words_are_a_sign_that_the_user_still_speaks():
    book = TimedPlaybook().ready().upstream(started())
    words = {"type": "conversation.item.input_audio_transcription.delta", "item_id": "u1", "delta": "word "}
    book.run(150.0, microphone=FRAME, event=words, every_s=10.0)
    assert phase_of(book) is UserTurnState.SPEAKING
    book.run(70.0, microphone=FRAME)
    assert phase_of(book) is UserTurnState.IDLE


def test_a_detector_that_is_switched_off_ends_the_speech():
    update = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
    book = Playbook().ready().upstream(started()).client(update)
    assert phase_of(book) is UserTurnState.SPEAKING
    book.upstream({"type": "session.updated", "session": {}})
    assert phase_of(book) is UserTurnState.IDLE


def test_cleared_audio_is_replayed_to_no_other_upstream():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(LOUD, CLEAR).upstream(CLEARED)
    assert book.sent("input_audio_buffer.clear")
    begin = book.restarted_after()
    assert book.appended(since=begin) == b""


def test_a_cleared_event_without_a_clear_on_its_way_discards_nothing():
    book = TimedPlaybook().ready().client(CLEAR).upstream(CLEARED).client(LOUD).upstream(started(), CLEARED)
    assert phase_of(book) is UserTurnState.SPEAKING
    book.client(FORCE)
    assert len(commit_ids(book)) == 1
    begin = book.restarted_after()
    assert book.appended(since=begin) == LOUD


def test_audio_behind_a_clear_on_its_way_stays():
    book = TimedPlaybook().ready().client(QUIET, CLEAR, LOUD).upstream(CLEARED, started()).client(FORCE)
    assert len(commit_ids(book)) == 1
    begin = book.restarted_after()
    assert book.appended(since=begin) == LOUD


def test_audio_before_a_clear_on_its_way_is_not_committed():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(CLEAR, FORCE)
    assert commit_ids(book) == []
    book.client(LOUD, FORCE)
    assert len(commit_ids(book)) == 1


def test_a_commit_behind_a_clear_is_awaited_until_the_upstream_refuses_it():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(CLEAR, LOUD, COMMIT).upstream(CLEARED)
    assert phase_of(book) is UserTurnState.COMMITTING
    (first,) = commit_ids(book)
    book.upstream(error("invalid_value", event_id=first))
    assert phase_of(book) is UserTurnState.IDLE
    book.upstream(started("item_2")).client(FORCE)
    assert len(commit_ids(book)) == 2


def test_a_commit_behind_a_clear_goes_to_the_next_upstream_with_the_audio_between_the_two():
    book = TimedPlaybook().ready().client(QUIET).upstream(started()).client(CLEAR, LOUD, COMMIT).upstream(CLEARED)
    (first,) = commit_ids(book)
    begin = book.restarted_after()
    assert book.appended(since=begin) == LOUD
    assert commit_ids(book) == [first, first]


def test_a_refused_clear_leaves_the_audio_before_it_to_the_next_upstream():
    book = TimedPlaybook().ready().client(LOUD, CLEAR)
    book.upstream(error("invalid_value", event_id=clear_ids(book)[0]))
    assert book.appended(since=book.restarted_after()) == LOUD


def test_a_clear_behind_a_refused_one_discards_all_audio_before_it():
    book = TimedPlaybook().ready().client(CLEAR, LOUD)
    book.upstream(error("invalid_value", event_id=clear_ids(book)[0])).client(CLEAR).upstream(CLEARED)
    assert book.appended(since=book.restarted_after()) == b""


def test_a_refused_clear_leaves_an_earlier_clear_without_effect_and_a_later_one_due():
    book = TimedPlaybook().ready().client(CLEAR, QUIET, CLEAR, LOUD, CLEAR)
    book.upstream(error("invalid_value", event_id=clear_ids(book)[1])).client(QUIET).upstream(CLEARED)
    assert book.appended(since=book.restarted_after()) == QUIET


@pytest.mark.parametrize("event_id", [None, 7, [], {}, True, "", "mine", "x" * 600])
def test_a_clear_and_a_commit_get_an_event_id_of_the_session_s(event_id):
    book = TimedPlaybook().ready().client(LOUD, {**CLEAR, "event_id": event_id}, {**COMMIT, "event_id": event_id})
    ids = clear_ids(book) + commit_ids(book)
    assert len(set(ids)) == 2
    assert all(book.session.state.new_id.gave(it) for it in ids)


def test_audio_before_a_clear_on_its_way_goes_to_no_other_upstream():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(LOUD, CLEAR, QUIET)
    assert book.appended(since=book.restarted_after()) == QUIET


def test_speech_that_a_lost_upstream_was_to_clear_holds_no_question_back():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(CLEAR).types("Hello?")
    book.restarted_after()
    book.run(30.0)
    assert phase_of(book) is UserTurnState.IDLE
    assert len(book.asked()) == 1


def test_a_clear_from_before_a_change_of_format_leaves_a_turn_to_force():
    book = TimedPlaybook().ready().client(LOUD * 4, CLEAR, LOUD)
    mulaw = {"format": {"type": "audio/pcmu"}}
    session = {"type": "realtime", "audio": {"input": mulaw, "output": mulaw}}
    book.upstream({"type": "session.updated", "session": session}, CLEARED, started()).client(LOUD, FORCE)
    assert len(commit_ids(book)) == 1


def test_a_refused_commit_behind_a_clear_that_was_lost_gives_the_audio_before_the_clear_back():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(CLEAR, COMMIT)
    book.upstream(error("invalid_value", event_id=commit_ids(book)[0])).client(FORCE)
    assert len(commit_ids(book)) == 2


def test_a_clear_behind_a_commit_leaves_the_commit_its_audio():
    book = TimedPlaybook().ready().client(CLEAR, LOUD).upstream(started()).client(COMMIT, CLEAR).upstream(CLEARED)
    assert phase_of(book) is UserTurnState.COMMITTING
    book.upstream(committed("u1"), CLEARED)
    (speech_item,) = book.session.state.ledger.items_after()
    assert speech_item.content[0].audio == LOUD


def test_a_commit_that_is_refused_because_its_clear_was_lost_ends_the_speech():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(CLEAR, COMMIT)
    book.upstream(error("input_audio_buffer_commit_empty", event_id=commit_ids(book)[0]))
    assert phase_of(book) is UserTurnState.IDLE
    assert book.session.may_drop_audio()


# Commits by hand.


def test_two_commits_with_one_event_id_of_the_client_are_awaited_both():
    book = TimedPlaybook().ready().client(LOUD, MINE, LOUD, MINE).upstream(committed("u1"))
    book.upstream(started("u3"), committed("u2"))
    assert phase_of(book) is UserTurnState.SPEAKING
    assert owed_to(book) == []


def test_the_first_answer_to_two_commits_leaves_the_audio_of_the_second_to_the_next_upstream():
    book = TimedPlaybook().ready().client(QUIET, COMMIT, LOUD, COMMIT).upstream(committed("u1"))
    book.upstream(transcribed("Hello.", "u1"))
    assert book.appended(since=book.restarted_after()) == LOUD


def test_the_second_answer_to_two_commits_leaves_the_audio_behind_them_to_the_next_upstream():
    book = TimedPlaybook().ready().client(QUIET, COMMIT, QUIET, COMMIT, LOUD)
    book.upstream(committed("u1"), transcribed("One.", "u1"), committed("u2"), transcribed("Two.", "u2"))
    assert book.appended(since=book.restarted_after()) == LOUD


def test_a_commit_of_nothing_with_a_repeated_event_id_owes_no_answer_to_the_turn_before():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(MINE).upstream(committed()).client(MINE)
    book.upstream(error("input_audio_buffer_commit_empty", event_id=commit_ids(book)[-1]))
    assert owed_to(book) == []
    assert book.run(60.0).losses() == []


def test_a_refused_request_with_the_event_id_of_a_commit_refuses_no_commit():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(MINE).upstream(committed())
    book.client({"type": "response.create", "event_id": "mine"})
    book.upstream(error("invalid_value", event_id=book.sent("response.create")[-1]["event_id"]))
    assert owed_to(book) == []
    assert book.run(60.0).losses() == []


def test_a_client_s_own_commit_owes_no_answer():
    book = Playbook().ready().client(LOUD).upstream(started()).client(COMMIT)
    assert phase_of(book) is UserTurnState.COMMITTING
    book.upstream(committed())
    assert phase_of(book) is UserTurnState.IDLE
    assert owed_to(book) == []


def test_the_detector_s_commit_before_one_by_hand_owes_an_answer():
    book = Playbook().ready().client(LOUD).upstream(started(), stopped()).client(COMMIT)
    book.upstream(committed(), NOTHING)
    assert owed_to(book) == ["u1"]
    assert Wait.FIRST_EVENT.value in book.timers


def test_a_commit_of_nothing_without_a_commit_before_it_owes_nothing():
    book = Playbook().ready().client(COMMIT).upstream(NOTHING)
    assert (phase_of(book), owed_to(book)) == (UserTurnState.IDLE, [])
    book.upstream(NOTHING)
    assert owed_to(book) == []


@pytest.mark.parametrize("commit", [COMMIT, FORCE])
def test_the_detector_s_commit_owes_an_answer_whatever_commit_by_hand_crosses_it(commit):
    book = Playbook().ready().client(LOUD).upstream(started()).client(commit).upstream(stopped(), committed(), NOTHING)
    assert owed_to(book) == ["u1"]
    assert Wait.FIRST_EVENT.value in book.timers


@pytest.mark.parametrize("commit", [COMMIT, FORCE])
def test_speech_goes_on_where_the_commit_that_was_to_end_it_is_refused(commit):
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(commit)
    book.upstream(error("invalid_value", event_id=book.sent("input_audio_buffer.commit")[-1]["event_id"]))
    assert phase_of(book) is UserTurnState.SPEAKING
    assert Wait.SPEECH.value in book.timers
    assert Wait.COMMIT.value not in book.timers
    book.upstream(stopped(), committed())
    assert owed_to(book) == ["u1"]


def test_a_second_commit_by_hand_is_refused_without_a_turn_of_the_detector_s():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(FORCE, COMMIT)
    second = book.sent("input_audio_buffer.commit")[-1]["event_id"]
    book.upstream(committed(), error("input_audio_buffer_commit_empty", event_id=second))
    assert (phase_of(book), owed_to(book)) == (UserTurnState.IDLE, [])


def test_the_detector_s_commit_owes_an_answer_although_a_commit_by_hand_was_not_answered_in_time():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(FORCE).fire(Wait.COMMIT)
    event_id = book.sent("input_audio_buffer.commit")[-1]["event_id"]
    book.upstream(stopped(), committed(), error("input_audio_buffer_commit_empty", event_id=event_id))
    assert owed_to(book) == ["u1"]


def test_a_later_commit_is_awaited_although_the_one_before_it_is_refused_too_late():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(FORCE).fire(Wait.COMMIT)
    (late,) = commit_ids(book)
    book.upstream(stopped(), committed("u1")).client(COMMIT).upstream(error("invalid_value", event_id=late))
    assert phase_of(book) is UserTurnState.COMMITTING
    assert owed_to(book) == ["u1"]


def test_later_speech_continues_although_a_commit_before_it_is_refused_too_late():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(FORCE).fire(Wait.COMMIT)
    (late,) = commit_ids(book)
    book.upstream(stopped(), committed("u1"), started("u2"), error("invalid_value", event_id=late))
    assert phase_of(book) is UserTurnState.SPEAKING
    assert owed_to(book) == ["u1"]


def test_the_detector_s_commit_owes_an_answer_behind_a_commit_by_hand_that_was_refused_too_late():
    book = TimedPlaybook().ready().client(LOUD).upstream(started(), stopped()).client(COMMIT).fire(Wait.COMMIT)
    event_id = book.sent("input_audio_buffer.commit")[-1]["event_id"]
    book.upstream(error("invalid_value", event_id=event_id), committed())
    assert owed_to(book) == ["u1"]


def test_a_refused_commit_behind_a_noise_owes_no_answer():
    book = Playbook().ready().client(LOUD).upstream(started(), stopped()).client(COMMIT)
    book.upstream(committed(), transcribed("", "u1"), NOTHING)
    assert owed_to(book) == []


def test_an_answer_is_not_cancelled_for_an_urgent_text_that_came_before_its_question():
    book = Playbook().ready().client(LOUD).upstream(*speech("u1"))
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "interrupt"})
    book.upstream(*speech("u2")).forget().upstream(UNASKED)
    assert book.events_to_upstream == []


def test_an_answer_is_not_cancelled_for_an_earlier_urgent_text_although_a_commit_crossed_its_question():
    book = Playbook().ready().client(LOUD).upstream(*speech("u1"))
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "interrupt"})
    book.upstream(started("u2")).client(COMMIT).upstream(stopped("u2"), committed("u2"), NOTHING)
    assert owed_to(book) == ["u1", "u2"]
    book.forget().upstream(UNASKED)
    assert book.events_to_upstream == []


def test_an_answer_to_speech_whose_commit_crossed_one_by_hand_is_no_text_in_flight_although_the_user_speaks_again():
    book = TimedPlaybook().ready().client(LOUD).upstream(started("u1"))
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "interrupt"}, FORCE)
    book.upstream(stopped("u1"), committed("u1"), started("u2"))
    statement = book.session.state.pending.in_flight
    book.upstream(created("own", None))
    assert book.session.state.turn.current is None
    assert book.session.state.turn.overtaken_ids == (statement.event_id,)


def test_a_whole_text_that_was_not_announced_answers_a_turn_whose_commit_crossed_one_by_hand():
    book = TimedPlaybook().ready().client(LOUD).upstream(started("u1"), stopped("u1")).client(COMMIT)
    event_id = book.sent("input_audio_buffer.commit")[-1]["event_id"]
    book.upstream(committed("u1"), text_done("At noon."))
    book.upstream(error("input_audio_buffer_commit_empty", event_id=event_id))
    assert owed_to(book) == []


@pytest.mark.parametrize("further", [[started("u2")], [started("u2"), stopped("u2")]])
def test_the_detector_s_commit_owes_an_answer_although_the_crossing_one_is_refused_during_further_speech(further):
    book = TimedPlaybook().ready().client(LOUD).upstream(started("u1")).client(COMMIT)
    event_id = book.sent("input_audio_buffer.commit")[-1]["event_id"]
    book.upstream(stopped("u1"), committed("u1"), *further)
    phase = phase_of(book)
    book.upstream(error("input_audio_buffer_commit_empty", event_id=event_id))
    assert (owed_to(book), phase_of(book)) == (["u1"], phase)
    assert Wait.FIRST_EVENT.value in book.timers


def test_a_commit_by_hand_ends_the_speech_that_went_on_meanwhile():
    book = Playbook().ready().client(LOUD).upstream(started()).client(FORCE).upstream(stopped(), started(), stopped())
    book.upstream(committed())
    assert (phase_of(book), owed_to(book)) == (UserTurnState.IDLE, [])
    assert Wait.COMMIT.value not in book.timers


def test_a_refused_commit_of_no_speech_leaves_none():
    book = TimedPlaybook().ready().client(LOUD, COMMIT)
    book.upstream(error("invalid_value", event_id=book.sent("input_audio_buffer.commit")[-1]["event_id"]))
    assert phase_of(book) is UserTurnState.IDLE
    assert owed_to(book.upstream(*speech("u1"))) == ["u1"]


def test_the_detector_s_commit_owes_an_answer_although_another_commit_by_hand_follows_the_one_that_crossed_it():
    book = TimedPlaybook().ready().client(LOUD).upstream(started(), stopped()).client(COMMIT).upstream(committed())
    book.client(COMMIT)
    first, second = commit_ids(book)
    book.upstream(error("input_audio_buffer_commit_empty", event_id=first))
    assert (phase_of(book), owed_to(book)) == (UserTurnState.COMMITTING, ["u1"])
    assert Wait.FIRST_EVENT.value in book.timers
    book.upstream(error("input_audio_buffer_commit_empty", event_id=second))
    assert (phase_of(book), owed_to(book)) == (UserTurnState.IDLE, ["u1"])


ACTIVE = "conversation_already_has_active_response"


def test_a_refused_request_shows_that_a_commit_by_hand_ended_the_speech_behind_the_detector_s_turn():
    book = TimedPlaybook().ready().client(LOUD).upstream(started("u1")).client(FORCE)
    book.upstream(stopped("u1"), committed("u1"), created("own", None), started("u2"), committed("u2"))
    assert owed_to(book) == ["u2"]
    book.upstream(error(ACTIVE, event_id=book.asked()[-1]["event_id"]))
    assert owed_to(book) == []
    book.upstream(response_done("own", "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"}))
    assert len(book.asked()) == 2
    book.run(1.0).upstream(created("late", {"switchboard": book.asked()[-1]["event_id"]}))
    assert Wait.FIRST_EVENT.value not in book.timers


def test_a_refused_request_leaves_the_detector_s_turn_an_answer_if_the_commit_by_hand_was_refused_before():
    book = TimedPlaybook().ready().client(LOUD).upstream(started("u1")).client(FORCE)
    book.upstream(stopped("u1"), committed("u1"), created("own", None))
    book.upstream(error("input_audio_buffer_commit_empty", event_id=commit_ids(book)[0]), *speech("u2"))
    book.upstream(error(ACTIVE, event_id=book.asked()[-1]["event_id"]))
    assert owed_to(book) == ["u2"]


def test_a_request_before_a_commit_by_hand_shows_at_its_refusal_that_the_commit_is_not_answered_yet():
    book = TimedPlaybook().ready().client({"type": "InjectUserMessage", "content": "When?"}).acknowledge()
    book.client(LOUD).upstream(started("u1")).client(FORCE).upstream(stopped("u1"), committed("u1"))
    book.upstream(created("own", None), error(ACTIVE, event_id=book.asked()[-1]["event_id"]))
    book.upstream(started("u2"), committed("u2"))
    assert owed_to(book) == []
    book.upstream(response_done("own", "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"}))
    assert len(book.asked()) == 2


@pytest.mark.parametrize("begin", [created("own", None), transcript_delta("At noon.", "item_1", "own")])
def test_the_upstream_s_own_answer_shows_that_a_client_s_commit_is_not_answered_yet(begin):
    book = TimedPlaybook().ready().client(LOUD).upstream(started("u1"), stopped("u1")).client(COMMIT)
    book.upstream(committed("u1"), begin, started("u2"), committed("u2"))
    assert owed_to(book) == []


def test_the_upstream_s_own_answer_shows_that_a_forced_end_is_not_answered_yet_and_its_speech_gets_a_request():
    book = TimedPlaybook().ready().client({"type": "InjectUserMessage", "content": "When?"}).acknowledge()
    book.upstream(created("first", {"switchboard": book.asked()[-1]["event_id"]}), response_done("first"))
    book.client(LOUD).upstream(started("u1")).client(FORCE).upstream(stopped("u1"), committed("u1"))
    book.upstream(created("own", None), started("u2"), committed("u2"))
    assert (owed_to(book), len(book.asked())) == ([], 2)
    book.upstream(response_done("own", "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"}))
    assert len(book.asked()) == 3


def test_a_commit_that_is_refused_after_its_deadline_leaves_a_later_one_on_its_way():
    book = TimedPlaybook().ready().client(LOUD).upstream(started("u1")).client(FORCE, COMMIT).fire(Wait.COMMIT)
    book.upstream(committed("u1")).client(COMMIT)
    book.upstream(error("invalid_value", event_id=commit_ids(book)[1]))
    assert (phase_of(book), owed_to(book)) == (UserTurnState.COMMITTING, ["u1"])


def test_a_second_commit_of_speech_answers_a_commit_by_hand_that_crossed_the_first():
    book = TimedPlaybook().ready().client(LOUD).upstream(started("u1"), stopped("u1")).client(COMMIT)
    book.upstream(committed("u1"), committed("u2"), created("own", None), *speech("u3"))
    assert owed_to(book) == ["u3"]


def test_a_refused_commit_during_an_answer_starts_no_deadline_of_a_first_event():
    book = TimedPlaybook().ready().client(LOUD).upstream(started(), stopped()).client(COMMIT).upstream(committed())
    book.client(COMMIT).upstream(UNASKED, error("input_audio_buffer_commit_empty", event_id=commit_ids(book)[0]))
    assert owed_to(book) == []  # the response that has begun answers it
    assert Wait.FIRST_EVENT.value not in book.timers


def test_the_refusal_of_a_commit_shows_that_an_earlier_one_was_lost():
    book = TimedPlaybook().ready().client(LOUD).upstream(started()).client(FORCE).upstream(stopped(), started())
    book.client(COMMIT)
    book.upstream(error("invalid_value", event_id=book.sent("input_audio_buffer.commit")[-1]["event_id"]))
    assert phase_of(book) is UserTurnState.SPEAKING
    assert Wait.COMMIT.value not in book.timers
    assert owed_to(book.upstream(stopped(), committed())) == ["u1"]


def test_speech_behind_a_commit_on_its_way_is_a_turn_of_its_own():
    book = Playbook().ready().client(LOUD).upstream(started()).client(FORCE)
    book.upstream(started("u2"), committed("u1"))
    assert (phase_of(book), owed_to(book)) == (UserTurnState.SPEAKING, [])
    book.upstream(stopped("u2"), committed("u2"))
    assert owed_to(book) == ["u2"]


def test_speech_behind_a_commit_of_nothing_is_an_item_of_the_next_upstream():
    book = TimedPlaybook().ready().client(COMMIT, LOUD).upstream(*speech("u1"))
    assert owed_to(book) == ["u1"]
    assert Wait.FIRST_EVENT.value in book.timers
    event_id = book.sent("input_audio_buffer.commit")[-1]["event_id"]
    book.upstream(error("input_audio_buffer_commit_empty", event_id=event_id))
    assert owed_to(book) == ["u1"]
    begin = book.restarted_after()
    (item,) = [event["item"] for event in book.sent("conversation.item.create", since=begin)]
    assert base64.b64decode(item["content"][0]["audio"]) == LOUD
    assert book.appended(since=begin) == b""
    assert len(book.asked(since=begin)) == 1


def test_a_commit_that_was_on_its_way_is_repeated_at_the_next_upstream():
    book = TimedPlaybook("converse").ready(settings(turn_detection="manual")).client(LOUD).run(0.5)
    begin = book.restarted_after()
    assert len(book.sent("input_audio_buffer.commit", since=begin)) == 1
    assert book.appended(since=begin).startswith(LOUD)
    assert Wait.COMMIT.value in book.timers


# Turns that are owed an answer.


def test_each_turn_awaits_its_answer_for_itself():
    book = Playbook().ready().upstream(*speech("u1"), *speech("u2"))
    assert owed_to(book) == ["u1", "u2"]
    book.upstream(transcribed("", "u1"))
    assert owed_to(book) == ["u2"]
    assert Wait.FIRST_EVENT.value in book.timers
    book.upstream(transcribed("", "u2"))
    assert owed_to(book) == []
    assert Wait.FIRST_EVENT.value not in book.timers


@pytest.mark.parametrize("item_id", [None, "u1"])
def test_an_empty_transcript_without_an_item_is_that_of_the_oldest_turn(item_id):
    event = {key: value for key, value in transcribed("", item_id).items() if value is not None}
    book = Playbook().ready().upstream(*speech("u1"), *speech("u2"), event)
    assert owed_to(book) == ["u2"]


def test_a_turn_that_the_next_upstream_has_as_an_item_is_answered_there():
    book = TimedPlaybook("converse").ready().run(1.0, microphone=LOUD).hears("u1", "When?")
    begin = book.restarted_after()
    assert owed_to(book) == []
    assert len(book.asked(since=begin)) == 1


def test_a_commit_by_hand_behind_which_the_detector_is_switched_on_owes_an_answer():
    book = Playbook("openai", turn_detection="manual").ready().client(bytes(4800)).fire(Wait.MANUAL_COMMIT)
    detection = {"type": "server_vad", "create_response": True}
    book.client(
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}}
    )
    book.upstream({"type": "session.updated", "session": {}})
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"})
    assert book.session.state.user_turns.owed
