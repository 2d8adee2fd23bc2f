"""The user interrupts the agent: by voice, or in writing."""

import orjson
import pybase64
import pytest

from actors import messages
from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    SETTINGS,
    STARTED,
    Playbook,
    assistant,
    delta,
    error,
    item_added,
    response_created,
    response_done,
    said,
    settings,
    transcript_delta,
    transcript_done,
    user,
)

SECOND = bytes(48_000)
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
SPEECH_STOPPED = {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}
STOP_PLAYING = {"type": "UserStartedSpeaking"}
CANCEL = {"type": "response.cancel", "response_id": "resp_1"}
CANCELLED = response_done(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})


def output_item(item_id="item_1", response_id="resp_1"):
    item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    return {"type": "response.output_item.added", "response_id": response_id, "output_index": 0, "item": item}


def truncate(heard_ms, item_id="item_1"):
    return {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": heard_ms}


def speaking(seconds=4, text="One two three four five six seven eight nine ten eleven twelve.", profile="openai"):
    """The agent speaks: so much audio is sent, none of it heard yet."""
    book = Playbook(profile).ready().upstream(response_created(), output_item(), transcript_delta(text))
    return book.upstream(*[delta(SECOND)] * seconds).forget()


def spoken(seconds=4, text="One two three four five six seven eight nine ten eleven twelve.", profile="openai"):
    """The agent has said it all, the caller still listens."""
    return speaking(seconds, text, profile).upstream(transcript_done(text), response_done()).forget()


def told(book):
    """What another upstream would be told that the assistant said."""
    items = [item for item in book.session.state.ledger.items_after() if getattr(item, "role", None) == "assistant"]
    return [item.content[0].text for item in items]


def test_an_answer_that_is_interrupted_is_cancelled_and_truncated_at_what_was_heard():
    book = speaking().after(2.5).upstream(SPEECH_STARTED)
    book.expect(STOP_PLAYING, assistant("One two three four five six seven"), upstream=[CANCEL, truncate(2500)])
    assert told(book) == ["One two three four five six seven"]


def test_an_answer_that_was_sent_whole_is_truncated_at_what_was_heard():
    book = spoken().after(1.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING, upstream=[truncate(1000)])
    assert told(book) == ["One two three"]


def test_what_was_heard_to_the_end_is_not_taken_back():
    book = spoken().after(4.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING)
    assert told(book)[0].endswith("twelve.")


def test_an_answer_of_which_nothing_was_heard_is_deleted():
    book = speaking().upstream(SPEECH_STARTED)
    book.expect(STOP_PLAYING, upstream=[CANCEL, {"type": "conversation.item.delete", "item_id": "item_1"}])
    assert told(book) == []


def test_a_pause_of_the_upstream_is_not_heard_as_speech():
    book = speaking(1).after(10).upstream(delta(SECOND)).after(0.25).upstream(SPEECH_STARTED)
    assert book.events_to_upstream[1]["audio_end_ms"] == 1250


def test_two_items_in_the_ear_at_once_are_each_truncated():
    book = spoken(2).upstream(response_created("resp_2"), output_item("item_2", "resp_2"), delta(SECOND, "resp_2"))
    book.forget().after(1.5).upstream(SPEECH_STARTED)
    cancel, first, second = book.events_to_upstream
    assert (cancel["type"], cancel["response_id"]) == ("response.cancel", "resp_2")
    assert (first["item_id"], first["audio_end_ms"]) == ("item_1", 1500)
    assert (second["type"], second["item_id"]) == ("conversation.item.delete", "item_2")


def test_what_still_comes_of_it_is_neither_played_nor_told():
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


def test_an_upstream_that_cannot_take_back_is_not_the_client_s_business():
    book = speaking().after(1).upstream(SPEECH_STARTED)
    event_id = book.events_to_upstream[-1]["event_id"]
    book.forget().upstream(error("invalid_value", "already shorter than 1000ms", event_id=event_id)).expect()


def test_the_next_upstream_hears_only_what_was_heard():
    book = spoken().after(1).upstream(SPEECH_STARTED).forget()
    book.upstream_closes(decision=Decision.RESTART).forget()
    book.restarted(upstream=[{"item": {"role": "assistant", "content": [{"text": "One two three"}]}}])


def test_an_upstream_that_is_lost_after_an_interruption_is_not_asked_to_go_on():
    book = speaking().after(1).upstream(SPEECH_STARTED).forget().upstream_closes(decision=Decision.RESTART)
    assert [frame["type"] for frame in book.frames_to_client] == ["AgentAudioDone", "AgentDone", "Warning"]
    book.forget().restarted(upstream=[{"item": {"role": "assistant"}}])


def test_an_interrupted_answer_that_fails_is_not_asked_for_again():
    book = speaking().after(1).upstream(SPEECH_STARTED).forget()
    book.upstream(response_done(status="failed")).expect(AUDIO_DONE, DONE)


def test_on_converse_the_sentence_in_the_ear_was_told_and_those_behind_it_are_not():
    book = speaking(4, "One two three. Four five six. Seven eight", "converse").after(1.0)
    book.upstream(SPEECH_STARTED).expect(STOP_PLAYING, upstream=[CANCEL, truncate(1000)])
    book.upstream(transcript_done("One two three. Four five six. Seven eight nine."), CANCELLED).expect(AUDIO_DONE)
    assert told(book) == ["One two three."]


# In writing.


def test_a_message_while_the_agent_speaks_interrupts_it():
    book = speaking().after(2.5).client({"type": "InjectUserMessage", "content": "Stop."})
    heard = assistant("One two three four five six seven")
    book.expect(STOP_PLAYING, heard, user("Stop."), upstream=[CANCEL, truncate(2500), {"item": {"role": "user"}}])
    book.upstream(CANCELLED).expect(AUDIO_DONE, DONE)


def test_the_message_that_interrupted_is_answered_once_the_old_answer_has_ended():
    book = speaking().after(1).client({"type": "InjectUserMessage", "content": "Stop."})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget().upstream(item_added(item_id)).expect()
    book.upstream(CANCELLED).expect(AUDIO_DONE, DONE, upstream=[{"type": "response.create"}])


def test_a_message_while_the_agent_thinks_interrupts_nothing():
    book = Playbook().ready().upstream(response_created()).client({"type": "InjectUserMessage", "content": "And?"})
    book.expect(user("And?"), upstream=[{"item": {"role": "user"}}])


# The user speaks: nobody else begins to.


def test_an_answer_that_was_asked_for_before_the_interruption_is_cancelled_when_it_begins():
    book = spoken().client({"type": "InjectUserMessage", "content": "And?"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()
    book.upstream(delta(SECOND)).forget().upstream(SPEECH_STARTED).forget()
    book.upstream(response_created("resp_2")).expect(upstream=[{"type": "response.cancel", "response_id": "resp_2"}])


def test_no_response_is_asked_for_while_the_user_talks_or_is_about_to_be_answered():
    book = Playbook().ready().upstream(SPEECH_STARTED).client({"type": "InjectUserMessage", "content": "Also:"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()
    book.upstream(SPEECH_STOPPED, COMMITTED).expect({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.9})
    book.upstream(response_created()).upstream(response_done()).expect(AUDIO_DONE, DONE)


def test_speech_that_never_becomes_a_turn_holds_nothing_up():
    book = Playbook().ready().upstream(SPEECH_STARTED).client({"type": "InjectUserMessage", "content": "Also:"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), SPEECH_STOPPED).forget()
    book.fire(Wait.COMMIT).expect(upstream=[{"type": "response.create"}])


def test_a_spoken_question_that_the_upstream_never_answers_is_not_waited_for_for_ever():
    book = Playbook().ready().upstream(SPEECH_STARTED, SPEECH_STOPPED, COMMITTED)
    assert book.timers[Wait.FIRST_EVENT.value] == 20
    book.upstream(response_created())
    assert Wait.FIRST_EVENT.value not in book.timers


# Push-to-talk.


def appended_ms(book):
    sizes = [len(pybase64.b64decode(event["audio"])) for event in book.events_to_upstream]
    book.forget()
    return sum(sizes) / 48


def test_a_microphone_that_stops_in_mid_speech_is_filled_with_silence_until_the_turn_ends():
    book = Playbook().ready().client(SECOND).upstream(SPEECH_STARTED).forget()
    assert round(appended_ms(book.after(0.4).fire(Wait.MICROPHONE))) == 400
    assert round(appended_ms(book.after(0.35).fire(Wait.MICROPHONE))) == 350
    book.upstream(SPEECH_STOPPED)
    assert Wait.MICROPHONE.value not in book.timers


def test_a_microphone_that_goes_on_is_left_alone():
    book = Playbook().ready().upstream(SPEECH_STARTED).after(0.2).client(SECOND).forget()
    assert appended_ms(book.after(0.1).fire(Wait.MICROPHONE)) == 0
    assert round(book.timers[Wait.MICROPHONE.value], 3) == 0.2


def test_a_microphone_that_goes_on_with_empty_frames_has_stopped():
    book = Playbook().ready().client(SECOND).upstream(SPEECH_STARTED).forget()
    book.after(0.4).client(b"")
    assert round(appended_ms(book.fire(Wait.MICROPHONE))) == 400


def test_nothing_is_filled_outside_of_speech_or_without_a_detector():
    assert Wait.MICROPHONE.value not in Playbook().ready().client(SECOND).timers
    assert Wait.MICROPHONE.value not in Playbook().ready(settings(turn_detection="manual")).client(SECOND).timers


def test_a_detector_that_hears_no_end_in_silence_is_not_fed_for_ever():
    book = Playbook().ready(SETTINGS).upstream(SPEECH_STARTED).forget()
    while Wait.MICROPHONE.value in book.timers:
        book.after(1).fire(Wait.MICROPHONE)
    assert appended_ms(book) == 30_000
    assert Wait.COMMIT.value in book.timers


def given_again(item_id, text):
    """An upstream that knows a text is told how much of it was heard."""
    return [{"type": "conversation.item.delete", "item_id": item_id}, said(text)]


def test_another_upstream_is_told_how_much_was_heard_of_what_it_knows_as_a_text():
    book = spoken().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    (item,) = book.session.state.ledger.items_after()
    book.after(1.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING, upstream=given_again(item.id, "One two three"))
    assert told(book) == ["One two three"]


def test_another_upstream_is_told_how_much_was_heard_of_the_beginning_that_it_went_on_from():
    book = speaking().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    (item,) = book.session.state.ledger.items_after()
    book.after(1.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING, AUDIO_DONE, DONE, upstream=given_again(item.id, ANY))
    assert told(book) == ["One two three"]


def types(book):
    return [event["type"] for event in book.events_to_upstream]


def test_the_rest_of_an_answer_is_not_said_to_a_user_who_has_interrupted_its_beginning():
    book = speaking().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    book.after(1.0).upstream(SPEECH_STARTED).expect(STOP_PLAYING, AUDIO_DONE, DONE, upstream=[ANY, ANY])
    book.upstream(item_added("given_again", role="assistant"), SPEECH_STOPPED, COMMITTED).expect(ANY)
    book.upstream(response_created("resp_2"), response_done("resp_2")).expect(AUDIO_DONE, DONE)


@pytest.mark.parametrize("is_acknowledged", [True, False])
def test_the_rest_of_an_answer_is_not_said_to_a_user_who_writes_something_else(is_acknowledged):
    book = speaking().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    if is_acknowledged:
        book.client({"type": "UpdatePrompt", "prompt": "Hurry."}).forget()  # which is waited for
        book.upstream(item_added("sb_1", role="assistant")).expect()
    book.after(1.0).client({"type": "InjectUserMessage", "content": "Stop."})
    assert book.frames_to_client == [STOP_PLAYING, AUDIO_DONE, DONE, user("Stop.")]
    stop = book.events_to_upstream[-1]["item"]
    book.forget().upstream({"type": "conversation.item.added", "item": stop}, {"type": "session.updated"})
    assert [event.get("response") for event in book.events_to_upstream if event["type"] == "response.create"] == [None]


def test_what_the_user_writes_while_the_next_upstream_is_dialled_interrupts_what_is_still_heard():
    book = speaking().upstream_closes(decision=Decision.RESTART).forget()
    book.client({"type": "InjectUserMessage", "content": "Stop."}).expect(user("Stop."))
    book.after(1.0).upstream_opens().upstream({"type": "session.created", "session": {}}).forget()
    book.upstream({"type": "session.updated", "session": {}})
    assert book.frames_to_client == [STOP_PLAYING, AUDIO_DONE, DONE]
    assert told(book) == ["One two three"]
    stop = book.events_to_upstream[-1]["item"]
    assert stop["content"][0]["text"] == "Stop."
    book.forget().upstream({"type": "conversation.item.added", "item": stop})
    assert [(event["type"], event.get("response")) for event in book.events_to_upstream] == [("response.create", None)]


def queued_behind_the_rest():
    """A message waits behind the rest of an answer, which the user interrupts; also, the item that both wait for."""
    book = speaking().upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY])
    (item,) = book.session.state.ledger.items_after()
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "queue"})
    return book.after(1.0).client({"type": "InjectUserMessage", "content": "Stop."}), item.id


def test_what_was_to_be_said_behind_the_rest_of_an_answer_is_said_where_its_item_is_refused():
    book, item_id = queued_behind_the_rest()
    book.forget().upstream(error("oh", event_id=item_id))
    (create,) = book.events_to_upstream
    assert "Mind the gap." in create["response"]["instructions"]


def test_what_was_to_be_said_behind_the_rest_of_an_answer_survives_another_loss_and_is_no_answer():
    book, _ = queued_behind_the_rest()
    book.upstream_closes(decision=Decision.RESTART).forget().restarted(upstream=[ANY, ANY])
    *_, stop = book.session.state.ledger.items_after()
    book.upstream(item_added(stop.id)).expect(upstream=[{"type": "response.create"}])
    book.upstream(response_created("resp_2")).forget().upstream(response_done("resp_2"))
    (create,) = book.events_to_upstream
    assert "Mind the gap." in create["response"]["instructions"]


def test_a_question_that_is_asked_again_after_a_restart_is_answered_although_the_user_writes_more():
    book = speaking(seconds=0, text="").client({"type": "InjectUserMessage", "content": "What?"}).forget()
    book.upstream_closes(decision=Decision.RESTART).forget()
    book.client({"type": "InjectUserMessage", "content": "And why?"}).forget().restarted(upstream=[ANY, ANY])


def test_the_next_upstream_that_stands_ready_is_told_how_much_was_heard_too():
    book = spoken().upstream(response_created("resp_2")).fire(Wait.ROLLOVER)
    generation = book.session.state.standby.generation
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    for kind in ("session.created", "session.updated"):
        book.feed(messages.UpstreamTextReceived(generation, orjson.dumps({"type": kind}).decode()))
    (item,) = book.session.state.ledger.items_after()
    book.forget().after(1.0).upstream(SPEECH_STARTED)
    to_next = [it.frame for it in book.commands if getattr(it, "generation", None) == generation]
    book.forget()
    assert [orjson.loads(frame)["type"] for frame in to_next] == [
        "conversation.item.delete",
        "conversation.item.create",
    ]
    assert orjson.loads(to_next[0])["item_id"] == item.id


def test_what_was_truncated_where_a_response_failed_is_given_again_as_far_as_it_was_heard():
    book = speaking().upstream(response_done(status="failed")).forget().after(1.0).upstream(SPEECH_STARTED)
    book.expect(STOP_PLAYING, AUDIO_DONE, DONE, upstream=given_again("item_1", "One two three"))
