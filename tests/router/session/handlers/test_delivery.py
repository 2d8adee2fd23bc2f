"""The order and the pace of the agent's messages and audio."""

import pytest

from actors import messages
from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.beginnings import SECOND, responding
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    call_done,
    delta,
    request,
    response_created,
    response_done,
    transcribed,
    transcript_delta,
    transcript_done,
    user,
)

STOP_PLAYING = {"type": "UserStartedSpeaking"}


def with_spoken_question(profile="openai"):
    """Return a session whose upstream answers speech before it has transcribed it."""
    book = Playbook(profile).ready()
    book.upstream(
        {"type": "input_audio_buffer.speech_started", "item_id": "u"},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 0},
        {"type": "input_audio_buffer.committed", "item_id": "u"},
        response_created(),
    )
    return book.forget()


# Behind the user's words.


def test_the_answer_s_text_waits_for_the_user_s_transcript_and_its_audio_does_not():
    book = (
        with_spoken_question("converse")
        .upstream(delta(b"\1\1"), transcript_done("Hi."), response_done())
        .expect(b"\1\1")
    )
    book.upstream(transcribed()).expect(user("Hello."), assistant("Hi."), AUDIO_DONE)
    assert Wait.TRANSCRIPT.value not in book.timers


def test_messages_behind_the_answer_s_text_stay_behind_it():
    book = with_spoken_question().upstream(transcript_done("Let me see."), call_done(), response_done()).expect(STARTED)
    book.upstream(transcribed())
    texts = [frame for frame in book.frames_to_client if frame["type"] != "Transcript"]
    assert texts == [
        user("Hello."),
        assistant("Let me see."),
        request("call_1", "lookup", "{}"),
        assistant("Function call: lookup({})"),
    ]


def test_a_call_without_text_does_not_wait_for_the_user_s_transcript():
    with_spoken_question("converse").upstream(call_done()).expect(request("call_1", "lookup", "{}"))


def test_a_late_transcript_is_not_waited_for_without_end():
    book = with_spoken_question("converse").upstream(transcript_done("Hi."), response_done()).expect()
    assert book.timers[Wait.TRANSCRIPT.value] == 2
    book.fire(Wait.TRANSCRIPT).expect(assistant("Hi."), AUDIO_DONE)
    book.upstream(transcribed()).expect(user("Hello."))


def test_a_missing_transcript_of_a_turn_without_text_does_not_delay_a_rollover():
    book = with_spoken_question("converse").upstream(response_done()).expect(AUDIO_DONE)
    assert book.session.state.is_busy
    book.fire(Wait.TRANSCRIPT).expect()
    assert not book.session.state.is_busy


@pytest.mark.parametrize("output", [delta(b"\1\1", "resp_2"), transcript_delta("At noon.", "item_2", "resp_2")])
def test_a_turn_whose_text_waits_for_a_transcript_ends_before_the_next_answer_begins(output):
    book = with_spoken_question().upstream(transcript_done("Hi."), response_done()).expect(STARTED)
    book.upstream(response_created("resp_2")).expect()
    book.upstream(output)
    assert book.frames_to_client[:4] == [assistant("Hi."), AUDIO_DONE, DONE, STARTED]


def test_the_text_of_the_next_answer_still_waits_for_the_transcript():
    book = with_spoken_question("converse").upstream(transcript_done("Hi."), response_done()).expect()
    book.upstream(response_created("resp_2"), delta(b"\1\1", "resp_2")).expect(assistant("Hi."), AUDIO_DONE, b"\1\1")
    book.upstream({**transcript_done("At noon.", "item_2"), "response_id": "resp_2"}, response_done("resp_2"))
    book.expect()
    assert Wait.TRANSCRIPT.value in book.timers
    book.upstream(transcribed()).expect(user("Hello."), assistant("At noon."), AUDIO_DONE)


def test_a_text_before_a_call_waits_for_the_transcript_although_the_turn_continues():
    book = with_spoken_question("converse").upstream(transcript_done("Let me see."), call_done(), response_done())
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}).forget()
    book.upstream(response_created("resp_2"), delta(b"\1\1", "resp_2")).expect(b"\1\1")


@pytest.mark.parametrize(
    "flood",
    [
        [transcript_delta("Hi. " * 64) for _ in range(9)],
        [transcript_delta("Hi. "), call_done("call_1", "lookup", '{"a":"' + "a" * 1_000_000 + '"}')],
    ],
)
def test_a_flood_of_messages_does_not_wait_for_a_transcript_and_keeps_its_order(flood):
    book = with_spoken_question("converse").upstream(*flood)
    assert book.session.state.transcripts.held == ()
    assert Wait.TRANSCRIPT.value not in book.timers
    assert book.session.describe()["over_bounds"] == 1
    assert book.frames_to_client[0] == assistant("Hi.")
    assert book.frames_to_client[-1]["type"] in ("ConversationText", "FunctionCallRequest")


def test_a_failed_transcript_is_not_waited_for():
    book = with_spoken_question("converse").upstream(transcript_done("Hi.")).expect()
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


def test_a_lost_upstream_takes_its_transcripts_with_it():
    book = (
        with_spoken_question("converse")
        .upstream(transcript_done("Hi."))
        .forget()
        .upstream_closes(decision=Decision.RESTART)
    )
    assert book.frames_to_client[0] == assistant("Hi.")


# Not too far ahead of the caller.


def test_audio_that_is_too_far_ahead_waits_with_the_messages_behind_it():
    book = responding(audio_ahead_s=2.0).upstream(*[delta(SECOND)] * 5, transcript_done("Hi."), response_done())
    book.expect(SECOND, SECOND, SECOND)
    assert book.timers[Wait.PLAYBACK.value] == pytest.approx(1.2)
    book.after(1.2).fire(Wait.PLAYBACK).expect(SECOND)
    book.after(1.1).fire(Wait.PLAYBACK).expect(SECOND, assistant("Hi."), AUDIO_DONE)
    assert Wait.PLAYBACK.value not in book.timers


def test_the_next_answer_queues_behind_the_waiting_one():
    book = responding(audio_ahead_s=1.0).upstream(*[delta(SECOND)] * 3, response_done()).expect(SECOND, SECOND)
    book.upstream(response_created("resp_2"), delta(b"\1\1", "resp_2")).expect()
    book.after(1.1).fire(Wait.PLAYBACK).expect(SECOND, AUDIO_DONE)
    book.after(1.0).fire(Wait.PLAYBACK).expect(b"\1\1")


def test_waiting_audio_is_dropped_when_the_user_interrupts_and_the_turn_still_ends():
    book = (
        responding(audio_ahead_s=1.0).upstream(*[delta(SECOND)] * 4, transcript_done("Hi."), response_done()).forget()
    )
    book.after(0.5).upstream({"type": "input_audio_buffer.speech_started"}).expect(STOP_PLAYING, AUDIO_DONE)
    assert book.session.describe()["interrupted_bytes"] == 96_000


def test_audio_beyond_the_memory_bound_is_sent_early_and_in_order():
    book = responding(audio_ahead_s=1.0, unread_audio_bytes=100_000).upstream(*[delta(SECOND)] * 4)
    book.expect(SECOND, SECOND)
    first = b"\1" + bytes(47_999)
    book.upstream(delta(first), delta(SECOND)).expect(SECOND, SECOND)


def test_all_audio_waits_for_a_client_that_is_seen_to_read():
    book = responding(audio_ahead_s=1.0, unread_audio_bytes=100_000).upstream(*[delta(SECOND)] * 3)
    assert book.commands.count(messages.ProbeClient()) == 1
    book.expect(SECOND, SECOND).feed(messages.ClientCaughtUp())
    book.upstream(*[delta(SECOND)] * 5).expect()
