"""The user's speech, from the microphone to its transcript."""

import pybase64
import pytest

from actors import messages
from router.session.deadlines import Wait
from tests.support.machine.beginnings import SECOND, ask
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    SETTINGS,
    Playbook,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    user,
)

SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
SPEECH_STOPPED = {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}
CREATE = {"type": "response.create"}
FORCE = {"type": "ForceEndTurn"}
TRANSCRIPTION = "conversation.item.input_audio_transcription"


def appended_ms(book):
    sizes = [len(pybase64.b64decode(event["audio"])) for event in book.events_to_upstream]
    book.forget()
    return sum(sizes) / 48


def interim_delta(text, item_id="u"):
    return {"type": f"{TRANSCRIPTION}.delta", "item_id": item_id, "content_index": 0, "delta": text}


def interim_update(text, item_id="u"):
    return {"type": f"{TRANSCRIPTION}.updated", "item_id": item_id, "transcript": text}


def final_transcript(text, item_id="u", **more):
    return {"type": f"{TRANSCRIPTION}.completed", "item_id": item_id, "content_index": 0, "transcript": text, **more}


def component_transcript(text, *, is_final):
    return {
        "type": "Transcript",
        "transcript": text,
        "channel": {"alternatives": [{"transcript": text, "confidence": 1.0, "words": []}]},
        "is_final": is_final,
        "speech_final": is_final,
    }


def manual(**options):
    return Playbook(**options).ready(settings(turn_detection="manual"))


def talking():
    book = Playbook().ready().client(bytes(9600))
    return book.upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"}).client(bytes(9600)).forget()


# The microphone.


def test_microphone_audio_is_appended_as_it_comes():
    book = Playbook().ready().client(b"\1\2\3", b"\4")
    decoded = [pybase64.b64decode(event["audio"]) for event in book.events_to_upstream]
    assert decoded == [b"\1\2", b"\3\4"]


def test_long_audio_is_split():
    book = Playbook().ready().client(bytes(1_000_000))
    sizes = [len(pybase64.b64decode(event["audio"])) for event in book.events_to_upstream]
    assert sum(sizes) == 1_000_000
    assert max(sizes) * 4 / 3 < 512 * 1024


def test_a_frame_of_more_than_a_minute_is_dropped_and_answered():
    """Its conversion would hold up every session of the dispatcher."""
    book = Playbook().ready().client(bytes(61 * 48_000))
    (answer,) = book.frames_to_client
    assert answer["code"] == "AUDIO_FRAME_TOO_LONG"
    assert book.events_to_upstream == []
    book.forget().client(bytes(59 * 48_000))
    assert book.frames_to_client == []
    assert book.events_to_upstream


@pytest.mark.parametrize(("encoding", "rate", "sample_bytes"), [("linear16", 12_345, 2), ("linear32", 48_000, 4)])
def test_a_frame_of_a_costly_conversion_may_hold_ten_seconds(encoding, rate, sample_bytes):
    audio = {**SETTINGS["audio"], "input": {"encoding": encoding, "sample_rate": rate}}
    book = Playbook("converse").ready({**SETTINGS, "audio": audio})
    assert book.client(bytes(10 * rate * sample_bytes)).frames_to_client == []
    (answer,) = book.client(bytes(11 * rate * sample_bytes)).frames_to_client
    assert answer["code"] == "AUDIO_FRAME_TOO_LONG"
    assert "more than 10 s" in answer["description"]
    assert book.session.describe()["over_bounds"] == 1


# A detected turn.


def test_a_spoken_turn_is_reported_in_the_component_s_order():
    book = Playbook().ready()
    book.upstream({"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0})
    book.expect({"type": "UserStartedSpeaking"})
    book.upstream({"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 1500})
    book.expect({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.5})
    kind = "conversation.item.input_audio_transcription.completed"
    book.upstream({"type": kind, "item_id": "u", "content_index": 0, "transcript": " Hello. \n"})
    transcript = {
        "type": "Transcript",
        "transcript": "Hello.",
        "channel": {"alternatives": [{"transcript": "Hello.", "confidence": 1.0, "words": []}]},
        "is_final": True,
        "speech_final": True,
    }
    book.expect(user("Hello."), transcript)


def test_a_spoken_turn_on_converse_is_reported_in_official_messages():
    book = Playbook("converse").ready()
    book.upstream({"type": "input_audio_buffer.speech_started"}).expect({"type": "UserStartedSpeaking"})
    book.upstream({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 9}).expect()
    kind = "conversation.item.input_audio_transcription.completed"
    book.upstream({"type": kind, "transcript": "Hello."}).expect(user("Hello."))


def test_an_empty_transcript_is_not_sent():
    kind = "conversation.item.input_audio_transcription.completed"
    Playbook().ready().upstream({"type": kind, "transcript": "  "}).expect()


def test_a_failed_transcription_is_a_warning():
    kind = "conversation.item.input_audio_transcription.failed"
    failed = {"type": kind, "error": {"type": "server_error", "code": "DeploymentNotFound", "message": "none"}}
    book = Playbook().ready().upstream(failed)
    book.expect({"type": "Warning", "description": "none", "code": "DeploymentNotFound"})


def test_speech_that_never_becomes_a_turn_delays_nothing():
    book = Playbook().ready().upstream(SPEECH_STARTED).client({"type": "InjectUserMessage", "content": "Also:"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), SPEECH_STOPPED).forget()
    book.fire(Wait.COMMIT).expect(upstream=[{"type": "response.create"}])


def test_an_answer_to_speech_has_a_deadline():
    book = Playbook().ready().upstream(SPEECH_STARTED, SPEECH_STOPPED, COMMITTED)
    assert book.timers[Wait.FIRST_EVENT.value] == 20
    book.upstream(response_created())
    assert Wait.FIRST_EVENT.value not in book.timers


def test_an_answer_to_speech_has_a_deadline_although_an_earlier_request_is_refused():
    book = Playbook().ready()
    book.upstream(item_added(ask(book)))
    refused = error("server_error", event_id=book.events_to_upstream[-1]["event_id"])
    book.upstream(SPEECH_STARTED, COMMITTED, refused)
    assert Wait.FIRST_EVENT.value in book.timers


# Turns that the pause ends.


def test_manual_commits_after_a_pause_and_requests_a_response_without_waiting():
    book = manual().client(bytes(9600)).forget()
    assert book.timers["manual_commit"] == 0.4
    book.fire(Wait.MANUAL_COMMIT).expect(upstream=[{"type": "input_audio_buffer.commit"}, CREATE])


def test_empty_frames_do_not_prolong_a_turn():
    book = manual().client(bytes(9600)).forget()
    book.timers.clear()
    assert book.client(b"").timers == {}


def test_manual_pads_to_the_minimum_of_100_ms():
    book = manual().client(bytes(960)).forget().fire(Wait.MANUAL_COMMIT)
    append, commit, create = book.events_to_upstream
    assert len(pybase64.b64decode(append["audio"])) == 4800 - 960
    assert (commit["type"], create["type"]) == ("input_audio_buffer.commit", "response.create")


def test_manual_requests_a_response_only_when_none_is_active():
    book = manual().upstream(response_created()).client(bytes(9600)).forget()
    book.fire(Wait.MANUAL_COMMIT).expect(upstream=[{"type": "input_audio_buffer.commit"}])
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=[CREATE])


def test_detected_modes_never_commit():
    assert "manual_commit" not in Playbook().ready().client(bytes(9600)).timers


# Turns that the client ends.


def test_an_open_turn_can_be_ended_at_once():
    book = talking().client(FORCE).expect(upstream=[{"type": "input_audio_buffer.commit"}])
    assert "microphone" not in book.timers
    book.client(FORCE).expect()
    book.upstream(COMMITTED).expect(upstream=[CREATE])
    book.upstream(response_created(), {"type": "input_audio_buffer.speech_stopped", "item_id": "u"}).forget()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE)


def test_a_manual_turn_that_the_client_ends_is_not_ended_again_by_the_pause():
    book = manual().client(bytes(9600)).forget().client(FORCE)
    book.expect(upstream=[{"type": "input_audio_buffer.commit"}, CREATE])
    assert "manual_commit" not in book.timers


@pytest.mark.parametrize("is_manual", [True, False])
def test_a_forced_end_without_an_open_turn_does_nothing(is_manual):
    (manual() if is_manual else Playbook().ready()).client(FORCE).expect()


def test_a_turn_that_the_detector_has_ended_is_not_ended_again():
    book = talking().upstream({"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 9}).forget()
    book.client(FORCE).expect()


def test_a_turn_that_the_client_and_the_detector_end_together_is_answered_once():
    stopped = {"type": "input_audio_buffer.speech_stopped", "item_id": "u"}
    book = talking().client(FORCE).upstream(stopped, COMMITTED, response_created()).forget()
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "the rest"})
    book.upstream(error("conversation_already_has_active_response"), response_done()).expect(AUDIO_DONE, DONE)


def test_a_turn_can_be_ended_again_after_a_commit_of_nothing():
    book = manual().client(bytes(9600), FORCE).forget().upstream(error("input_audio_buffer_commit_empty")).expect()
    book.client(bytes(9600)).forget().client(FORCE).expect(upstream=[{"type": "input_audio_buffer.commit"}])


def test_a_commit_that_the_upstream_does_not_acknowledge_times_out():
    book = talking().client(FORCE).forget().fire(Wait.COMMIT).expect(upstream=[CREATE])
    assert not book.session.state.user_turns.is_committing


# Push-to-talk.


def stopped_before():
    """Begin speech of a client that sent nothing for a while before."""
    return Playbook().ready().client(SECOND).after(3.1).client(SECOND).upstream(SPEECH_STARTED).forget()


def test_silence_replaces_a_microphone_that_stops_in_the_middle_of_speech():
    book = Playbook().ready().client(SECOND).upstream(SPEECH_STARTED).forget()
    assert appended_ms(book.after(2.9).fire(Wait.MICROPHONE)) == 0
    assert round(appended_ms(book.after(0.2).fire(Wait.MICROPHONE))) == 3100
    assert round(appended_ms(book.after(0.35).fire(Wait.MICROPHONE))) == 350
    book.upstream(SPEECH_STOPPED)
    assert Wait.MICROPHONE.value not in book.timers


def test_silence_replaces_a_microphone_sooner_that_was_seen_to_stop():
    book = stopped_before()
    assert book.timers[Wait.MICROPHONE.value] == 0.3
    assert round(appended_ms(book.after(0.4).fire(Wait.MICROPHONE))) == 400


def test_a_microphone_that_continues_gets_no_silence():
    book = stopped_before().after(0.2).client(SECOND).forget()
    assert appended_ms(book.after(0.1).fire(Wait.MICROPHONE)) == 0
    assert round(book.timers[Wait.MICROPHONE.value], 3) == 0.2


def test_a_microphone_that_continues_with_empty_frames_has_stopped():
    book = stopped_before().after(0.4).client(b"")
    assert round(appended_ms(book.fire(Wait.MICROPHONE))) == 400


def test_silence_does_not_replace_audio_of_a_client_that_is_not_read():
    book = Playbook().ready().client(SECOND).upstream(SPEECH_STARTED).after(1).feed(messages.ClientPaused()).forget()
    assert appended_ms(book.after(5).fire(Wait.MICROPHONE)) == 0
    book.feed(messages.ClientResumed())
    assert appended_ms(book.after(1.9).fire(Wait.MICROPHONE)) == 0
    assert round(appended_ms(book.after(0.2).fire(Wait.MICROPHONE))) == 3100


def test_a_manual_turn_does_not_end_while_the_client_is_not_read():
    book = manual().client(bytes(9600)).feed(messages.ClientPaused()).forget()
    book.after(0.5).fire(Wait.MANUAL_COMMIT).expect()
    book.feed(messages.ClientResumed()).fire(Wait.MANUAL_COMMIT)
    book.expect(upstream=[{"type": "input_audio_buffer.commit"}, CREATE])


def test_silence_is_sent_only_within_detected_speech():
    assert Wait.MICROPHONE.value not in Playbook().ready().client(SECOND).timers
    assert Wait.MICROPHONE.value not in Playbook().ready(settings(turn_detection="manual")).client(SECOND).timers


def test_a_gap_of_any_length_gets_a_bounded_silence():
    """The process may have been stopped for an hour."""
    book = Playbook().ready().client(SECOND).upstream(SPEECH_STARTED).forget()
    book.after(3600).fire(Wait.MICROPHONE)
    appended = b"".join(pybase64.b64decode(event["audio"]) for event in book.events_to_upstream)
    assert len(appended) == 30 * 48_000


def test_silence_is_not_sent_without_end():
    book = Playbook().ready(SETTINGS).upstream(SPEECH_STARTED).forget()
    while Wait.MICROPHONE.value in book.timers:
        book.after(1).fire(Wait.MICROPHONE)
    assert appended_ms(book) == 30_000
    assert Wait.COMMIT.value in book.timers


# Interim transcripts.


def test_interim_words_are_sent_as_they_grow_and_never_behind_the_final_ones():
    book = Playbook().ready().upstream(interim_delta(" Hello"), interim_delta(","), interim_delta(" you"))
    book.expect(*(component_transcript(words, is_final=False) for words in ("Hello", "Hello,", "Hello, you")))
    book.upstream(final_transcript(" Hello, you. ")).expect(
        user("Hello, you."), component_transcript("Hello, you.", is_final=True)
    )
    book.upstream(interim_delta("!"), interim_update("Hello")).expect()


def test_the_end_of_long_interim_words_is_sent():
    book = Playbook().ready()
    for at in range(20):
        book.forget().upstream(interim_delta(f"word{at} " * 100))
    (transcript,) = book.frames_to_client
    assert len(transcript["transcript"]) <= 4000
    assert transcript["transcript"].endswith("word19 word19")


def test_two_items_have_separate_interim_words():
    book = (
        Playbook()
        .ready()
        .upstream(interim_delta("One", "u1"), interim_delta("Two", "u2"), final_transcript("One.", "u1"))
    )
    book.forget().upstream(interim_delta(" more", "u2")).expect(component_transcript("Two more", is_final=False))


def test_repeated_interim_words_are_sent_once():
    book = (
        Playbook()
        .ready()
        .upstream(interim_update("Hel"), interim_update("Hello"), final_transcript("Hello", status="in_progress"))
    )
    book.expect(component_transcript("Hel", is_final=False), component_transcript("Hello", is_final=False))
    book.upstream(final_transcript("Hello.", status="completed"))
    book.expect(user("Hello."), component_transcript("Hello.", is_final=True))


def test_interim_silence_is_not_sent():
    Playbook().ready().upstream(interim_delta(" "), interim_delta("\n"), interim_update("")).expect()


@pytest.mark.parametrize(
    "event", [interim_delta("Hello"), interim_update("Hello"), final_transcript("Hello", status="in_progress")]
)
def test_on_converse_there_are_no_interim_transcripts(event):
    Playbook("converse").ready().upstream(event).expect()


def test_the_oldest_interim_words_are_forgotten():
    book = Playbook().ready()
    for number in range(9):
        book.upstream(interim_delta("a", f"u{number}"))
    book.forget().upstream(interim_delta("b", "u0"), interim_delta("b", "u8"))
    book.expect(component_transcript("b", is_final=False), component_transcript("ab", is_final=False))
