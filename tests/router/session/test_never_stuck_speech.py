"""The user's turn always ends, and a question that waits for its end is asked."""

import pytest

from actors import messages
from tests.support.machine.playbook import settings
from tests.support.machine.timed_playbook import (
    FRAME,
    FRAME_S,
    TimedPlaybook,
    committed,
    speech,
    started,
    stopped,
    transcription,
)

LOUD = b"\x01\x02" * (len(FRAME) // 2)
"""100 ms of a sound."""

SOON_S = 10.0

LONGEST_S = 120.0
"""Speech that shows no sign of its end for so long has none."""

CLEAR = {"type": "input_audio_buffer.clear"}
CLEARED = {"type": "input_audio_buffer.cleared"}
NO_DETECTION = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}


def talking(profile="openai", **options):
    """Begin speech; the microphone is open."""
    book = TimedPlaybook(profile, **options).ready()
    book.run(0.5, microphone=LOUD)
    book.upstream(started())
    return book


def cleared():
    """Begin speech, and clear it by the client's own event."""
    return talking().client(CLEAR).upstream(CLEARED)


# Speech that never ends.


def test_a_question_is_asked_after_the_client_has_cleared_the_user_s_speech():
    book = cleared().types("What is the weather?")
    book.run(SOON_S, microphone=FRAME)
    assert len(book.asked()) == 1


def test_an_agent_may_speak_after_the_client_has_cleared_the_user_s_speech():
    book = cleared().run(SOON_S, microphone=FRAME)
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    assert not book.received("InjectionRefused")


def test_a_drain_does_not_wait_for_speech_that_the_client_has_cleared():
    book = cleared().run(SOON_S, microphone=FRAME)
    book.feed(messages.DrainBegan(600.0)).run(1.0, microphone=FRAME)
    assert book.ending is not None


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_question_is_asked_although_a_noise_keeps_the_detector_on(profile):
    book = talking(profile).types("What is the weather?")
    book.run(LONGEST_S, microphone=LOUD)
    assert len(book.asked()) == 1


def test_an_agent_may_speak_although_a_noise_keeps_the_detector_on():
    book = talking().run(LONGEST_S, microphone=LOUD)
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    assert not book.received("InjectionRefused")


def test_an_agent_may_speak_after_the_client_has_switched_the_detector_off_in_mid_speech():
    book = talking().client(NO_DETECTION).upstream({"type": "session.updated", "session": {}})
    book.run(SOON_S, microphone=FRAME)
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    assert not book.received("InjectionRefused")


def test_speech_that_goes_on_after_a_noise_was_given_up_is_answered_like_any_other():
    book = talking().run(LONGEST_S, microphone=LOUD)
    book.upstream(stopped(), committed())
    book.run(60.0, microphone=FRAME)
    assert len(book.losses()) == 1


# Speech that has not ended.


def test_no_response_is_requested_while_the_user_talks_on_after_a_restart():
    book = TimedPlaybook("converse").ready().types("Tell me a story.")
    book.upstream(started()).run(1.0, microphone=LOUD)
    begin = book.restarted_after()
    book.upstream(started("n1")).run(SOON_S, microphone=LOUD)
    assert not book.asked(since=begin)


def test_an_agent_may_not_speak_while_the_user_talks_on_after_a_restart():
    book = TimedPlaybook("converse").ready()
    book.upstream(started()).run(1.0, microphone=LOUD)
    book.restarted_after()
    book.upstream(started("n1")).run(SOON_S, microphone=LOUD)
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    assert book.received("InjectionRefused")


def test_no_response_is_requested_while_the_user_talks_on_after_a_pause_without_a_commit():
    book = TimedPlaybook("converse").ready()
    book.upstream(started(), stopped(), started()).types("And this, too.")
    book.run(SOON_S, microphone=LOUD)
    assert not book.asked()
    book.upstream(stopped(), committed()).run(60.0, microphone=FRAME)
    assert book.asked() or book.losses()


# Speech while a commit is on its way.


def manual():
    """Commit the first part of a turn that ends by hand."""
    book = TimedPlaybook("converse").ready(settings(turn_detection="manual"))
    book.client(*[LOUD] * 10).run(0.5)
    assert len(book.sent("input_audio_buffer.commit")) == 1
    return book


def test_speech_behind_a_commit_on_its_way_is_committed_next():
    book = manual().client(LOUD, LOUD)
    book.upstream(committed()).answers("Go on.")
    book.run(1.0)
    assert len(book.sent("input_audio_buffer.commit")) == 2
    book.upstream(committed("u2"))
    assert len(book.asked()) == 2


def test_speech_behind_a_commit_on_its_way_is_replayed_to_the_next_upstream():
    book = manual().client(LOUD, LOUD)
    book.upstream(committed(), transcription("My number is four")).answers("Go on.")
    begin = book.restarted_after()
    assert LOUD * 2 in book.appended(since=begin)
    assert LOUD * 3 not in book.appended(since=begin)


def test_a_commit_that_is_acknowledged_twice_takes_no_speech_behind_it():
    book = manual()
    book.upstream(committed()).answers("Go on.")
    book.client(LOUD, LOUD).upstream(committed()).run(1.0)
    assert len(book.sent("input_audio_buffer.commit")) == 2


def test_a_commit_that_is_acknowledged_behind_its_deadline_takes_no_speech_behind_it():
    book = manual().run(SOON_S)
    book.client(LOUD, LOUD).upstream(committed()).run(1.0)
    assert len(book.sent("input_audio_buffer.commit")) == 2
    begin = book.restarted_after()
    assert LOUD * 2 in book.appended(since=begin)
    assert LOUD * 3 not in book.appended(since=begin)


def test_speech_behind_a_client_s_own_commit_is_answered_although_the_upstream_is_lost():
    book = TimedPlaybook("openai").ready(settings(turn_detection="manual"))
    book.client(LOUD, {"type": "input_audio_buffer.commit"}, LOUD)
    begin = book.restarted_after()
    book.upstream(committed()).run(1.0)
    assert len(book.asked(since=begin)) == 1


def test_speech_whose_commit_the_upstream_lost_is_answered_by_the_next_one():
    book = manual()
    book.answers("Go on.")
    begin = book.restarted_after()
    book.upstream(committed()).run(1.0)
    assert len(book.asked(since=begin)) == 1


# Words that come late, or never.


def test_an_empty_transcript_of_an_earlier_turn_says_nothing_of_the_one_that_waits_for_its_answer():
    book = TimedPlaybook("converse").ready().hears("u1")
    book.begins_itself("resp_1", "item_1").says("Hello.", response_id="resp_1").ends("resp_1")
    book.hears("u2").upstream(transcription("", "u1"))
    book.run(60.0, microphone=FRAME)
    assert len(book.losses()) == 1


def test_a_question_outlives_its_upstream_although_an_earlier_noise_is_transcribed_late():
    book = TimedPlaybook("converse").ready().hears("u1")
    book.begins_itself("resp_1", "item_1").says("Hello.", response_id="resp_1").ends("resp_1")
    book.hears("u2").upstream(transcription("What time is it?", "u2"), transcription("", "u1"))
    begin = book.restarted_after()
    assert len(book.asked(since=begin)) == 1


def test_a_noise_that_is_not_answered_starts_no_clock():
    book = TimedPlaybook("converse").ready().hears("u1", "")
    book.after(60.0).upstream(started("u2"))
    book.after(1.0).upstream(*speech("u2")[1:], transcription("Hi.", "u2"))
    book.after(0.5).begins_itself("resp_1", "item_1").says("Hi.", 0.5).ends("resp_1")
    assert book.reports
    assert book.reports[-1]["total_latency"] < 2.0


# A microphone that stops.


def sent_through_a_stall(gap_s):
    """Stall the client's network in mid-speech, then deliver all of it."""
    book = talking()
    book.run(1.0, microphone=LOUD).run(gap_s)
    book.client(*[LOUD] * round(gap_s / FRAME_S)).run(1.0, microphone=LOUD)
    return book


@pytest.mark.parametrize("gap_s", [0.4, 0.7, 2.0])
def test_a_stalled_network_puts_no_silence_into_the_user_s_speech(gap_s):
    book = sent_through_a_stall(gap_s)
    assert book.appended().count(0) == 0


def test_the_turn_of_a_push_to_talk_client_ends_when_its_button_is_released():
    book = talking().run(1.0, microphone=LOUD).run(SOON_S)
    assert book.appended().endswith(bytes(24_000))


def test_the_turn_of_a_client_that_was_seen_to_stop_ends_soon():
    book = talking().run(1.0, microphone=LOUD).run(SOON_S)
    book.upstream(stopped(), committed()).begins_itself("resp_1", "item_1").says("Yes?", 1.0).ends("resp_1")
    book.run(SOON_S).run(1.0, microphone=LOUD).upstream(started("u2")).run(0.3, microphone=LOUD)
    begin = book.here
    book.run(1.0)
    assert len(book.appended(since=begin)) >= 24_000
