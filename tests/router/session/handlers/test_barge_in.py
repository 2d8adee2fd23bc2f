"""The user interrupts the agent."""

import pytest

from actors.restart import Decision
from tests.support.machine.beginnings import (
    SECOND,
    answering,
    asked,
    assistant_texts,
    output_item,
    speaking,
    spoken,
    truncate,
)
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    delta,
    item_added,
    response_created,
    response_done,
    statement_created,
    transcribed,
    transcript_delta,
    transcript_done,
    user,
    verbatim_create,
)

SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
SPEECH_STOPPED = {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}
STOP_PLAYING = {"type": "UserStartedSpeaking"}
CANCEL = {"type": "response.cancel", "response_id": "resp_1"}
CANCELLED = response_done(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})


def with_a_message_behind_the_rest():
    """Return a session with a message behind the rest of an answer that the user interrupts."""
    book = speaking().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "queue"}).forget()
    return book.after(1.0).client({"type": "InjectUserMessage", "content": "Stop."})


def test_an_interrupted_answer_is_cancelled_and_truncated_at_the_heard_part():
    book = speaking().after(2.5).upstream(SPEECH_STARTED)
    book.expect(STOP_PLAYING, assistant("One two three four five six seven"), upstream=[CANCEL, truncate(2500)])
    assert assistant_texts(book) == ["One two three four five six seven"]


def test_an_interrupted_answer_that_was_not_announced_is_neither_played_nor_told_any_more():
    book = asked().upstream(output_item(), delta(SECOND)).forget().upstream(SPEECH_STARTED)
    cut = [{"type": "response.cancel"}, {"type": "conversation.item.delete", "item_id": "item_1"}]
    book.expect(STOP_PLAYING, upstream=cut)
    late = {"item_id": "item_2", "response_id": "resp_1"}
    book.forget().upstream(delta(SECOND), {**transcript_done("Ho."), **late})
    assert not assistant_texts(book)
    assert not [frame for frame in book.frames_to_client if isinstance(frame, bytes)]


def test_a_given_text_that_was_interrupted_before_it_began_is_not_spoken_although_it_is_not_announced():
    book = Playbook("converse").ready().client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    book.upstream(SPEECH_STARTED, output_item()).forget().upstream(delta(SECOND))
    assert not [frame for frame in book.frames_to_client if isinstance(frame, bytes)]


def test_the_next_answer_may_have_the_id_of_an_interrupted_one_that_was_not_announced():
    book = asked().upstream(output_item(), delta(SECOND), SPEECH_STARTED, response_done(status="cancelled"))
    book.upstream(SPEECH_STOPPED, COMMITTED, response_created(), output_item("item_2"), delta(SECOND)).forget()
    book.upstream(transcript_done("Ho.", "item_2"))
    assert assistant_texts(book) == ["Ho."]


def test_an_answer_that_was_sent_whole_is_truncated_at_the_heard_part():
    book = spoken().after(1.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING, upstream=[truncate(1000)])
    assert assistant_texts(book) == ["One two three"]


def test_an_answer_that_was_heard_to_its_end_is_not_truncated():
    book = spoken().after(4.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING)
    assert assistant_texts(book)[0].endswith("twelve.")


def test_an_answer_of_which_nothing_was_heard_is_deleted():
    book = speaking().upstream(SPEECH_STARTED)
    book.expect(STOP_PLAYING, upstream=[CANCEL, {"type": "conversation.item.delete", "item_id": "item_1"}])
    assert assistant_texts(book) == []


def test_a_pause_of_the_upstream_does_not_count_as_heard():
    book = speaking(1).after(10).upstream(delta(SECOND)).after(0.25).upstream(SPEECH_STARTED)
    assert book.events_to_upstream[1]["audio_end_ms"] == 1250


def test_two_items_in_playback_are_each_truncated():
    book = spoken(2).upstream(response_created("resp_2"), output_item("item_2", "resp_2"), delta(SECOND, "resp_2"))
    book.forget().after(1.5).upstream(SPEECH_STARTED)
    cancel, first, second = book.events_to_upstream
    assert (cancel["type"], cancel["response_id"]) == ("response.cancel", "resp_2")
    assert (first["item_id"], first["audio_end_ms"]) == ("item_1", 1500)
    assert (second["type"], second["item_id"]) == ("conversation.item.delete", "item_2")


def test_the_rest_of_an_interrupted_answer_is_not_played():
    book = answering().upstream(delta(b"\1\1")).forget()
    book.upstream({"type": "input_audio_buffer.speech_started"}, delta(b"\2\2"))
    book.expect({"type": "UserStartedSpeaking"}, upstream=[{"type": "response.cancel", "response_id": "resp_1"}])
    cancelled = {"type": "cancelled", "reason": "turn_detected"}
    book.upstream(response_done(status="cancelled", status_details=cancelled), delta(b"\3\3")).expect(AUDIO_DONE, DONE)
    book.upstream(response_created("resp_2"), delta(b"\4\4", "resp_2")).expect(STARTED, b"\4\4")
    assert book.session.describe()["interrupted_bytes"] == 4


def test_the_rest_of_an_interrupted_answer_is_neither_played_nor_sent_as_text():
    book = speaking().after(1).upstream(SPEECH_STARTED).forget()
    item = {"id": "item_1", "type": "message", "role": "assistant", "content": [{"transcript": "One two three four."}]}
    book.upstream(delta(SECOND), transcript_delta(" and more."), transcript_done("One two three four."))
    book.upstream({"type": "conversation.item.done", "item": item}, CANCELLED).expect(AUDIO_DONE, DONE)
    book.upstream(delta(SECOND)).expect()
    assert book.session.describe()["interrupted_bytes"] == 96_000


def test_late_audio_is_recognised_after_the_next_answer_began():
    book = speaking().after(1).upstream(SPEECH_STARTED, SPEECH_STOPPED, COMMITTED, CANCELLED)
    book.upstream(response_created("resp_2")).forget()
    book.upstream(delta(SECOND), delta(b"\1\1", "resp_2")).expect(STARTED, b"\1\1")


def test_a_call_of_an_interrupted_answer_is_not_made():
    book = speaking().after(1).upstream(SPEECH_STARTED).forget()
    kind = "response.function_call_arguments.done"
    book.upstream({"type": kind, "response_id": "resp_1", "call_id": "call_1", "name": "f", "arguments": "{"}).expect()


def test_on_converse_the_sentence_in_playback_stays_and_later_ones_are_not_sent():
    book = speaking(4, "One two three. Four five six. Seven eight", "converse").after(1.0)
    book.upstream(SPEECH_STARTED).expect(STOP_PLAYING, upstream=[CANCEL, truncate(1000)])
    book.upstream(transcript_done("One two three. Four five six. Seven eight nine."), CANCELLED).expect(AUDIO_DONE)
    assert assistant_texts(book) == ["One two three."]


def test_text_that_waits_for_a_transcript_is_not_sent_once_it_is_interrupted():
    book = Playbook("converse").ready().upstream(SPEECH_STARTED, SPEECH_STOPPED, COMMITTED)
    book.upstream(response_created(), output_item(), delta(SECOND), transcript_done("Hi.", "item_1")).forget()
    book.after(0.5).upstream({**SPEECH_STARTED, "item_id": "v"}).forget()
    book.upstream(transcribed("Hello.", "u"), CANCELLED).expect(user("Hello."), AUDIO_DONE)


def test_text_that_an_interruption_dropped_is_not_recorded_at_the_next_interruption():
    book = Playbook("converse").ready().upstream(SPEECH_STARTED, SPEECH_STOPPED, COMMITTED)
    book.upstream(response_created(), output_item(), transcript_delta("Hi."), delta(SECOND))
    book.client({"type": "InjectUserMessage", "content": "And?"}).upstream({**SPEECH_STARTED, "item_id": "v"})
    assert assistant_texts(book) == []


def test_an_answer_that_was_requested_before_the_interruption_is_cancelled_when_it_begins():
    book = spoken().client({"type": "InjectUserMessage", "content": "And?"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()
    book.upstream(delta(SECOND)).forget().upstream(SPEECH_STARTED).forget()
    book.upstream(response_created("resp_2")).expect(upstream=[{"type": "response.cancel", "response_id": "resp_2"}])


# The next upstream.


def test_the_next_upstream_gets_only_the_heard_words():
    book = spoken().after(1).upstream(SPEECH_STARTED).forget()
    book.upstream_closes(decision=Decision.RESTART).forget()
    book.restarted(upstream=[{"item": {"role": "assistant", "content": [{"text": "One two three"}]}}])


def test_an_interrupted_answer_is_not_continued_after_a_loss():
    book = speaking().after(1).upstream(SPEECH_STARTED).forget().upstream_closes(decision=Decision.RESTART)
    assert [frame["type"] for frame in book.frames_to_client] == ["AgentAudioDone", "AgentDone", "Warning"]
    book.forget().restarted(upstream=[{"item": {"role": "assistant"}}])


def test_an_interrupted_answer_that_fails_is_not_requested_again():
    book = speaking().after(1).upstream(SPEECH_STARTED).forget()
    book.upstream(response_done(status="failed")).expect(AUDIO_DONE, DONE)


def test_the_rest_of_an_answer_is_dropped_where_the_user_interrupts_its_beginning():
    book = speaking().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    book.after(1.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING, AUDIO_DONE, DONE, upstream=[ANY, ANY])
    book.upstream(item_added("given_again", role="assistant"), SPEECH_STOPPED, COMMITTED).expect(ANY)
    book.upstream(response_created("resp_2"), response_done("resp_2")).expect(AUDIO_DONE, DONE)


@pytest.mark.parametrize("is_acknowledged", [True, False])
def test_the_rest_of_an_answer_is_dropped_where_the_user_writes_something_else(is_acknowledged):
    book = speaking().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    if is_acknowledged:
        book.client({"type": "UpdatePrompt", "prompt": "Hurry."}).forget()
        book.upstream(item_added("sb_1", role="assistant")).expect()
    book.after(1.0).client({"type": "InjectUserMessage", "content": "Stop."})
    assert book.frames_to_client == [STOP_PLAYING, AUDIO_DONE, DONE, user("Stop.")]
    stop = book.events_to_upstream[-1]["item"]
    book.forget().upstream({"type": "conversation.item.added", "item": stop}, {"type": "session.updated"})
    (create,) = [event["response"] for event in book.events_to_upstream if event["type"] == "response.create"]
    assert list(create) == ["metadata"]


def test_a_message_behind_a_dropped_rest_is_spoken_and_the_question_behind_it_answered():
    book = with_a_message_behind_the_rest()
    assert verbatim_create("Mind the gap.")["response"]["instructions"] == said_by(book)
    (stop,) = [event["item"] for event in book.events_to_upstream if event.get("item", {}).get("role") == "user"]
    book.upstream(item_added(stop["id"]), statement_created()).forget().upstream(response_done())
    assert book.events_to_upstream[-1]["type"] == "response.create"


def test_a_message_behind_a_dropped_rest_survives_another_loss():
    book = with_a_message_behind_the_rest()
    book.upstream_closes(decision=Decision.RESTART).forget().restarted(
        upstream=[ANY, ANY, verbatim_create("Mind the gap.")]
    )
    *_, stop = book.session.state.ledger.items_after()
    book.upstream(item_added(stop.id), statement_created()).forget().upstream(response_done())
    assert book.events_to_upstream[-1]["type"] == "response.create"


def said_by(book):
    """Return the instructions of the one response that was requested."""
    (create,) = [event for event in book.events_to_upstream if event["type"] == "response.create"]
    return create["response"]["instructions"]


def test_a_question_that_is_asked_again_after_a_restart_is_answered_although_the_user_writes_more():
    book = speaking(seconds=0, text="").client({"type": "InjectUserMessage", "content": "What?"}).forget()
    book.upstream_closes(decision=Decision.RESTART).forget()
    book.client({"type": "InjectUserMessage", "content": "And why?"}).forget().restarted(upstream=[ANY, ANY])
