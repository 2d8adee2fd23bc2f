"""The agent's words and audio on their way to the client: in order, in sentences, and not too far ahead."""

import pytest

from actors import messages
from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    SETTINGS,
    STARTED,
    Playbook,
    assistant,
    call_done,
    delta,
    item_added,
    request,
    response_created,
    response_done,
    text_done,
    transcribed,
    transcript_delta,
    transcript_done,
    user,
)

SECOND = bytes(48_000)
STOP_PLAYING = {"type": "UserStartedSpeaking"}


def text_delta(text):
    return {"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "item_1", "delta": text}


def answering(profile="converse", given=SETTINGS, **options):
    return Playbook(profile, **options).ready(given).upstream(response_created()).forget()


# Sentences.


def test_on_converse_a_sentence_is_told_when_the_transcript_completes_it():
    book = (
        answering()
        .upstream(transcript_delta("Hello"), transcript_delta(" there! How"))
        .expect(assistant("Hello there!"))
    )
    book.upstream(transcript_delta(" are you? Fi")).expect(assistant("How are you?"))
    book.upstream(transcript_done("Hello there! How are you? Fine.")).expect(assistant("Fine."))
    book.upstream(response_done()).expect(AUDIO_DONE)


def test_a_sentence_is_told_ahead_of_its_audio():
    book = answering().upstream(transcript_delta("Hello there!"), delta(b"\1\1"))
    book.expect(assistant("Hello there!"), b"\1\1")
    book.upstream(transcript_delta(" How are you?")).expect()
    book.upstream(transcript_done("Hello there! How are you?")).expect(assistant("How are you?"))


def test_text_without_audio_is_told_in_sentences_too():
    book = answering().upstream(text_delta("One. Two"), text_delta(". ")).expect(assistant("One."), assistant("Two."))
    book.upstream(text_done("One. Two. ")).expect()


def test_an_upstream_that_sends_no_deltas_is_told_in_sentences():
    answering().upstream(transcript_done("One. Two.", "item_9")).expect(assistant("One."), assistant("Two."))


def test_a_final_wording_that_differs_from_what_was_told_is_not_told_again():
    book = answering().upstream(transcript_delta("One. Two and")).expect(assistant("One."))
    book.upstream(transcript_done("Uno. Two and a half.")).expect(assistant("Two and"))


def test_on_openai_an_item_is_told_whole():
    book = answering("openai").upstream(transcript_delta("One. Two. ")).expect(STARTED)
    book.upstream(transcript_done("One. Two.")).expect(assistant("One. Two."))


# The user's words first.


def heard(profile="openai"):
    """The user has spoken, and the upstream answers before it has transcribed what."""
    book = Playbook(profile).ready()
    book.upstream(
        {"type": "input_audio_buffer.speech_started", "item_id": "u"},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 0},
        {"type": "input_audio_buffer.committed", "item_id": "u"},
        response_created(),
    )
    return book.forget()


def test_the_answer_s_text_waits_for_the_user_s_and_its_audio_does_not():
    book = heard("converse").upstream(delta(b"\1\1"), transcript_done("Hi."), response_done()).expect(b"\1\1")
    book.upstream(transcribed()).expect(user("Hello."), assistant("Hi."), AUDIO_DONE)
    assert Wait.TRANSCRIPT.value not in book.timers


def test_what_belongs_behind_the_answer_s_text_stays_behind_it():
    book = heard().upstream(transcript_done("Let me see."), call_done(), response_done()).expect(STARTED)
    book.upstream(transcribed())
    texts = [frame for frame in book.frames_to_client if frame["type"] != "Transcript"]
    assert texts == [
        user("Hello."),
        assistant("Let me see."),
        request("call_1", "lookup", "{}"),
        assistant("Function call: lookup({})"),
    ]


def test_a_call_without_text_does_not_wait_for_the_user_s_words():
    heard("converse").upstream(call_done()).expect(request("call_1", "lookup", "{}"))


def test_a_transcript_that_does_not_come_is_not_waited_for_for_ever():
    book = heard("converse").upstream(transcript_done("Hi."), response_done()).expect()
    assert book.timers[Wait.TRANSCRIPT.value] == 2
    book.fire(Wait.TRANSCRIPT).expect(assistant("Hi."), AUDIO_DONE)
    book.upstream(transcribed()).expect(user("Hello."))


def test_a_transcript_that_does_not_come_to_a_turn_without_text_keeps_no_other_upstream_waiting():
    book = heard("converse").upstream(response_done()).expect(AUDIO_DONE)
    assert book.session.state.is_busy
    book.fire(Wait.TRANSCRIPT).expect()
    assert not book.session.state.is_busy


def test_a_transcript_that_fails_is_not_waited_for():
    book = heard("converse").upstream(transcript_done("Hi.")).expect()
    kind = "conversation.item.input_audio_transcription.failed"
    book.upstream({"type": kind, "item_id": "u", "error": {"code": "DeploymentNotFound", "message": "none"}})
    book.expect({"type": "Warning", "description": "none", "code": "DeploymentNotFound"}, assistant("Hi."))


def test_a_transcript_that_came_before_the_commit_is_not_waited_for():
    book = (
        Playbook("converse").ready().upstream(transcribed(), {"type": "input_audio_buffer.committed", "item_id": "u"})
    )
    book.upstream(response_created()).forget().upstream(transcript_done("Hi.")).expect(assistant("Hi."))


def test_a_commit_without_an_item_id_takes_the_next_transcript():
    book = Playbook("converse").ready().upstream({"type": "input_audio_buffer.committed"}, response_created())
    book.forget().upstream(transcript_done("Hi.")).expect()
    book.upstream(transcribed(item_id="whatever")).expect(user("Hello."), assistant("Hi."))


def test_an_upstream_that_is_lost_takes_its_transcripts_with_it():
    book = heard("converse").upstream(transcript_done("Hi.")).forget().upstream_closes(decision=Decision.RESTART)
    assert book.frames_to_client[0] == assistant("Hi.")


# Not too far ahead.


def test_audio_that_is_too_far_ahead_waits_with_what_is_behind_it():
    book = answering(audio_ahead_s=2.0).upstream(*[delta(SECOND)] * 5, transcript_done("Hi."), response_done())
    book.expect(SECOND, SECOND, SECOND)
    assert book.timers[Wait.PLAYBACK.value] == pytest.approx(1.2)
    book.after(1.2).fire(Wait.PLAYBACK).expect(SECOND)
    book.after(1.1).fire(Wait.PLAYBACK).expect(SECOND, assistant("Hi."), AUDIO_DONE)
    assert Wait.PLAYBACK.value not in book.timers


def test_the_next_answer_queues_behind_the_one_that_waits():
    book = answering(audio_ahead_s=1.0).upstream(*[delta(SECOND)] * 3, response_done()).expect(SECOND, SECOND)
    book.upstream(response_created("resp_2"), delta(b"\1\1", "resp_2")).expect()
    book.after(1.1).fire(Wait.PLAYBACK).expect(SECOND, AUDIO_DONE)
    book.after(1.0).fire(Wait.PLAYBACK).expect(b"\1\1")


def test_audio_that_waits_is_dropped_when_the_user_interrupts_and_the_turn_still_ends():
    book = answering(audio_ahead_s=1.0).upstream(*[delta(SECOND)] * 4, transcript_done("Hi."), response_done()).forget()
    book.after(0.5).upstream({"type": "input_audio_buffer.speech_started"}).expect(STOP_PLAYING, AUDIO_DONE)
    assert book.session.describe()["interrupted_bytes"] == 96_000


def test_more_than_may_be_held_is_sent_early_and_in_order():
    book = answering(audio_ahead_s=1.0, unread_audio_bytes=100_000).upstream(*[delta(SECOND)] * 4)
    book.expect(SECOND, SECOND)
    first = b"\1" + bytes(47_999)
    book.upstream(delta(first), delta(SECOND)).expect(SECOND, SECOND)


def test_a_client_that_is_seen_to_read_has_all_of_it_held():
    book = answering(audio_ahead_s=1.0, unread_audio_bytes=100_000).upstream(*[delta(SECOND)] * 3)
    assert book.commands.count(messages.ProbeClient()) == 1
    book.expect(SECOND, SECOND).feed(messages.ClientCaughtUp())
    book.upstream(*[delta(SECOND)] * 5).expect()


# How long it took.


def test_a_spoken_turn_reports_its_latencies():
    book = Playbook("converse").ready().upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"})
    book.after(2).upstream({"type": "input_audio_buffer.speech_stopped", "item_id": "u"})
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"}, response_created())
    book.after(0.2).upstream(transcribed()).after(0.1).upstream(transcript_delta("Hi"))
    book.after(0.1).upstream(delta(b"\1\1")).after(0.4).upstream(transcript_done("Hi."), response_done())
    (report,) = book.reports
    assert report == {
        "type": "LatencyReport",
        "stt_latency": pytest.approx(0.2),
        "ttt_token_latency": pytest.approx(0.3),
        "ttt_text_latency": pytest.approx(0.8),
        "tts_latency": pytest.approx(0.1),
        "total_latency": pytest.approx(0.4),
    }


def test_a_turn_with_a_call_reports_once_and_a_turn_without_output_not_at_all():
    book = Playbook("converse").ready().client({"type": "InjectUserMessage", "content": "hello"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_created())
    book.after(1).upstream(call_done(), response_done())
    assert book.reports == []
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.after(1).upstream(response_created("resp_2"), text_done("42.", "i2"), response_done("resp_2"))
    assert book.reports == [{"type": "LatencyReport", "ttt_tool_latency": 1.0, "ttt_text_latency": 2.0}]
    book.upstream(response_created("resp_3"), response_done("resp_3"))
    assert len(book.reports) == 1


def test_who_asks_for_what_is_experimental_is_told_when_the_agent_starts_to_speak():
    book = answering(given={**SETTINGS, "experimental": True}).after(0.25).upstream(transcript_delta("Hi"))
    book.after(0.5).upstream(delta(b"\1\1"), delta(b"\2\2"))
    latencies = {"total_latency": 0.75, "ttt_latency": 0.25, "tts_latency": 0.5}
    book.expect({**STARTED, **latencies}, b"\1\1", b"\2\2")


def test_a_turn_on_openai_ends_before_its_report():
    book = answering("openai").upstream(transcript_done("Hi."), response_done())
    book.expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
