"""Text, speech and responses."""

import pybase64
import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    delta,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
    transcript_done,
    user,
)

CREATE = [{"type": "response.create"}]


def inject(book, content="hello"):
    book.client({"type": "InjectUserMessage", "content": content})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget()
    return item_id


def answering(profile="openai", **options):
    """A session in the middle of an answer."""
    book = Playbook(profile, **options).ready()
    book.upstream(item_added(inject(book)), response_created())
    return book.forget()


# Asking.


@pytest.mark.parametrize(
    "acknowledgement", ["conversation.item.added", "conversation.item.created", "conversation.item.done"]
)
def test_a_response_is_asked_for_only_once_the_upstream_has_the_item(acknowledgement):
    book = Playbook().ready()
    item_id = inject(book)
    book.expect()
    book.upstream({**item_added(item_id), "type": acknowledgement}).expect(upstream=CREATE)


def test_the_acknowledgement_of_another_item_asks_for_nothing():
    book = Playbook().ready()
    inject(book)
    book.upstream(item_added("spoken", content=[{"type": "input_audio", "transcript": None}])).expect()
    book.upstream(item_added("other", "assistant", status="in_progress", content=[])).expect()


def test_an_acknowledgement_under_another_id_counts_once():
    book = Playbook().ready()
    inject(book)
    theirs = item_added("theirs", content=[{"type": "input_text", "text": "hello"}])
    book.upstream(theirs).expect(upstream=CREATE)
    book.upstream({**theirs, "type": "conversation.item.done"}).expect()


def test_two_items_are_acknowledged_each_by_its_own_events():
    book = Playbook().ready()
    first, second = inject(book, "one"), inject(book, "two")
    book.upstream(item_added(first), {**item_added(first), "type": "conversation.item.done"}).expect(upstream=CREATE)
    book.upstream(response_created(), item_added(second)).expect()
    book.upstream(text_done("1"), response_done()).expect(STARTED, assistant("1"), AUDIO_DONE, DONE, upstream=CREATE)


def test_no_response_is_asked_for_while_one_is_active():
    book = answering()
    book.upstream(item_added(inject(book, "and?"))).expect()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=CREATE)


def test_a_response_that_the_upstream_began_itself_is_waited_for_too():
    book = Playbook().ready().upstream(response_created("vad"))
    book.upstream(item_added(inject(book))).expect()
    book.upstream(response_done("vad")).expect(AUDIO_DONE, DONE, upstream=CREATE)


def test_an_item_that_is_never_acknowledged_is_answered_all_the_same():
    book = Playbook().ready()
    inject(book)
    book.fire(Wait.ITEM_ACK).expect(upstream=CREATE)


def test_who_goes_on_writing_puts_no_deadline_off():
    book = Playbook().ready()
    first = inject(book)
    del book.timers[Wait.ITEM_ACK.value]
    second = inject(book)
    assert Wait.ITEM_ACK.value not in book.timers
    book.upstream(item_added(first))
    assert Wait.ITEM_ACK.value in book.timers
    book.upstream(item_added(second))
    assert Wait.ITEM_ACK.value not in book.timers


def test_an_item_that_the_upstream_refuses_is_not_answered():
    book = Playbook().ready()
    item_id = inject(book)
    book.upstream(error("string_above_max_length", "too long", event_id=item_id))
    book.expect({"type": "Error", "description": "too long", "code": "string_above_max_length"})


def test_an_active_response_that_we_did_not_know_of_is_absorbed_and_waited_for():
    book = Playbook().ready()
    book.upstream(item_added(inject(book))).expect(upstream=CREATE)
    book.upstream(error("conversation_already_has_active_response")).expect()
    book.upstream(response_done("theirs")).expect(AUDIO_DONE, DONE, upstream=CREATE)


def test_an_active_response_that_was_in_the_way_of_an_earlier_question_is_in_the_way_of_no_later_one():
    book = Playbook().ready()
    book.upstream(
        item_added(inject(book)), error("conversation_already_has_active_response", event_id="earlier")
    ).forget()
    book.upstream(response_created(), text_done("Hi."), response_done()).expect(
        STARTED, assistant("Hi."), AUDIO_DONE, DONE
    )


def test_a_response_that_is_refused_ends_the_turn():
    book = Playbook().ready()
    book.upstream(item_added(inject(book)))
    event_id = book.events_to_upstream[0]["event_id"]
    book.forget().upstream(error("invalid_value", "no", event_id=event_id))
    book.expect({"type": "Error", "description": "no", "code": "invalid_value"}, AUDIO_DONE, DONE)
    book.upstream(item_added(inject(book))).expect(upstream=CREATE)


# Answering.


def test_converse_sends_official_messages_only():
    book = answering("converse")
    book.upstream(text_done("Hi."), response_done()).expect(assistant("Hi."), AUDIO_DONE)


def test_text_is_told_once_whichever_event_brings_it():
    said = [{"type": "output_audio", "transcript": "Hi."}]
    item = {
        "type": "conversation.item.done",
        "item": {"id": "item_1", "type": "message", "role": "assistant", "content": said},
    }
    for events in ([transcript_done("Hi."), item], [item, transcript_done("Hi.")], [item], [text_done("Hi."), item]):
        answering().upstream(*events).expect(STARTED, assistant("Hi."))


def test_beta_names_are_read():
    book = answering().upstream({"type": "response.text.done", "item_id": "i", "text": "Hi."})
    book.expect(STARTED, assistant("Hi."))


def test_audio_is_told_as_binary_of_even_length():
    book = answering().upstream(delta(b"\1\2\3"), delta(b"\4\5\6"), delta(b"\7"))
    book.expect(STARTED, b"\1\2", b"\3\4\5\6")


def test_audio_is_read_whatever_the_order_of_its_fields():
    event = delta(b"\1\2\3\4")
    answering().upstream(dict(reversed(event.items()))).expect(STARTED, b"\1\2\3\4")


def test_a_delta_that_is_not_base64_is_dropped_and_the_answer_goes_on():
    book = answering().upstream({**delta(b""), "delta": "*"}, delta(b"\1\2"))
    book.expect(STARTED, b"\1\2")


def test_a_turn_without_audio_ends_with_agent_audio_done_too():
    answering().upstream(response_done()).expect(AUDIO_DONE, DONE)


def test_a_turn_ends_once():
    book = answering().upstream(text_done("Hi."), response_done()).forget()
    book.upstream(response_done()).expect()


def test_an_upstream_that_announces_no_response_ends_it_with_its_text():
    book = Playbook().ready()
    book.upstream(item_added(inject(book))).forget()
    book.upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
    book.upstream(response_done()).expect()
    book.upstream(item_added(inject(book))).expect(upstream=CREATE)


def test_a_failed_response_is_asked_for_again_once_and_then_of_another_upstream():
    details = {"type": "failed", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "slow down"}}
    book = answering().upstream(response_done(status="failed", status_details=details)).expect()
    book.fire(Wait.ASK_AGAIN).expect(upstream=CREATE)
    book.upstream(response_created("resp_2"), response_done("resp_2", status="failed", status_details=details))
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.REFUSED, cause="rate_limit_exceeded"))]
    book.forget().upstream_is_lost(Loss(kind=LossKind.REFUSED, cause="rate_limit_exceeded"), Decision.TEAR_DOWN)
    assert book.frames_to_client[0]["code"] == "rate_limit_exceeded"


def test_status_details_may_be_a_string():
    answering().upstream(response_done(status_details="completed")).expect(AUDIO_DONE, DONE)


@pytest.mark.parametrize("wait", [Wait.NEXT_EVENT, Wait.RESPONSE])
def test_an_upstream_that_falls_silent_in_an_answer_is_given_up(wait):
    book = answering().fire(wait)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause=wait.value))]


def test_the_answer_of_an_upstream_that_numbers_its_responses_is_played_although_one_of_that_number_was_interrupted():
    book = answering().upstream(delta(b"\1\1"), SPEECH_STARTED, COMMITTED, response_done()).forget()
    book.upstream(response_created(), delta(b"\2\2")).expect(STARTED, b"\2\2")


def test_an_upstream_that_never_answers_is_given_up():
    book = Playbook().ready()
    book.upstream(item_added(inject(book))).forget().fire(Wait.FIRST_EVENT)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause="first_event"))]


def test_no_deadline_runs_between_turns():
    book = answering().upstream(text_done("Hi."), response_done())
    assert set(book.timers) == {"rollover"}


def test_text_that_says_function_call_makes_no_request():
    answering().upstream(text_done("Function call: lookup({})")).expect(STARTED, assistant("Function call: lookup({})"))


# Speaking.


def test_microphone_audio_is_appended_as_it_comes():
    book = Playbook().ready().client(b"\1\2\3", b"\4")
    decoded = [pybase64.b64decode(event["audio"]) for event in book.events_to_upstream]
    assert decoded == [b"\1\2", b"\3\4"]


def test_long_audio_is_split():
    book = Playbook().ready().client(bytes(1_000_000))
    sizes = [len(pybase64.b64decode(event["audio"])) for event in book.events_to_upstream]
    assert sum(sizes) == 1_000_000
    assert max(sizes) * 4 / 3 < 512 * 1024


def test_more_audio_at_once_than_a_minute_is_dropped_and_said_so():
    """Converting it would hold everybody else up for as long."""
    book = Playbook().ready().client(bytes(61 * 48_000))
    (answer,) = book.frames_to_client
    assert answer["code"] == "AUDIO_FRAME_TOO_LONG"
    assert book.events_to_upstream == []
    book.forget().client(bytes(59 * 48_000))
    assert book.frames_to_client == []
    assert book.events_to_upstream


def test_a_spoken_turn_is_told_in_the_component_s_order():
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
        "channel": {"alternatives": [{"transcript": "Hello.", "confidence": 1.0}]},
        "is_final": True,
        "speech_final": True,
    }
    book.expect(user("Hello."), transcript)


def test_a_spoken_turn_on_converse_is_told_in_official_messages():
    book = Playbook("converse").ready()
    book.upstream({"type": "input_audio_buffer.speech_started"}).expect({"type": "UserStartedSpeaking"})
    book.upstream({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 9}).expect()
    kind = "conversation.item.input_audio_transcription.completed"
    book.upstream({"type": kind, "transcript": "Hello."}).expect(user("Hello."))


def test_silence_is_not_told_as_text():
    kind = "conversation.item.input_audio_transcription.completed"
    Playbook().ready().upstream({"type": kind, "transcript": "  "}).expect()


def test_a_failed_transcription_is_a_warning():
    kind = "conversation.item.input_audio_transcription.failed"
    failed = {"type": kind, "error": {"type": "server_error", "code": "DeploymentNotFound", "message": "none"}}
    book = Playbook().ready().upstream(failed)
    book.expect({"type": "Warning", "description": "none", "code": "DeploymentNotFound"})


def test_what_is_still_to_come_of_an_interrupted_answer_is_not_played():
    book = answering().upstream(delta(b"\1\1")).forget()
    book.upstream({"type": "input_audio_buffer.speech_started"}, delta(b"\2\2"))
    book.expect({"type": "UserStartedSpeaking"}, upstream=[{"type": "response.cancel", "response_id": "resp_1"}])
    cancelled = {"type": "cancelled", "reason": "turn_detected"}
    book.upstream(response_done(status="cancelled", status_details=cancelled), delta(b"\3\3")).expect(AUDIO_DONE, DONE)
    book.upstream(response_created("resp_2"), delta(b"\4\4", "resp_2")).expect(STARTED, b"\4\4")
    assert book.session.describe()["interrupted_bytes"] == 4


# Turn detection by hand.


def manual(**options):
    return Playbook(**options).ready(settings(turn_detection="manual"))


def test_manual_commits_after_a_pause_and_asks_without_waiting():
    book = manual().client(bytes(9600)).forget()
    assert book.timers["manual_commit"] == 0.4
    book.fire(Wait.MANUAL_COMMIT).expect(upstream=[{"type": "input_audio_buffer.commit"}, *CREATE])


def test_empty_frames_are_no_end_of_a_pause():
    book = manual().client(bytes(9600)).forget()
    book.timers.clear()
    assert book.client(b"").timers == {}


def test_manual_pads_to_the_minimum_of_100_ms():
    book = manual().client(bytes(960)).forget().fire(Wait.MANUAL_COMMIT)
    append, commit, create = book.events_to_upstream
    assert len(pybase64.b64decode(append["audio"])) == 4800 - 960
    assert (commit["type"], create["type"]) == ("input_audio_buffer.commit", "response.create")


def test_manual_asks_only_when_no_response_is_active():
    book = manual().upstream(response_created()).client(bytes(9600)).forget()
    book.fire(Wait.MANUAL_COMMIT).expect(upstream=[{"type": "input_audio_buffer.commit"}])
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=CREATE)


def test_vad_modes_never_commit():
    assert "manual_commit" not in Playbook().ready().client(bytes(9600)).timers


SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}

# Speech that is committed while a response is active, of which an upstream may begin none of its own (reference, 4).


def test_speech_that_is_committed_during_an_answer_is_answered_after_it():
    book = Playbook().ready().upstream(SPEECH_STARTED, response_created(), COMMITTED).forget()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE, upstream=CREATE)


def test_speech_that_is_committed_during_an_answer_that_the_client_cancelled_is_answered_after_it():
    book = Playbook().ready().upstream(SPEECH_STARTED, response_created(), COMMITTED).forget()
    details = {"type": "cancelled", "reason": "client_cancelled"}
    book.upstream(response_done(status="cancelled", status_details=details))
    book.expect(AUDIO_DONE, DONE, upstream=CREATE)


@pytest.mark.parametrize("begins", [True, False])
def test_after_an_answer_that_it_cancelled_an_upstream_answers_speech_itself(begins):
    book = Playbook().ready().upstream(SPEECH_STARTED, response_created(), COMMITTED).forget()
    details = {"type": "cancelled", "reason": "turn_detected"}
    book.upstream(response_done(status="cancelled", status_details=details)).expect(AUDIO_DONE, DONE)
    assert Wait.FIRST_EVENT.value in book.timers
    if begins:
        book.upstream(response_created("resp_2"))
        assert Wait.FIRST_EVENT.value not in book.timers


def test_an_answer_to_speech_is_waited_for_with_a_deadline_although_what_was_asked_before_is_refused():
    book = Playbook().ready()
    book.upstream(item_added(inject(book)))
    refused = error("server_error", event_id=book.events_to_upstream[-1]["event_id"])
    book.upstream(SPEECH_STARTED, COMMITTED, refused)
    assert Wait.FIRST_EVENT.value in book.timers


# Turns that the client ends.

FORCE = {"type": "ForceEndTurn"}


def talking():
    book = Playbook().ready().client(bytes(9600))
    return book.upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"}).client(bytes(9600)).forget()


def test_a_turn_that_is_open_can_be_ended_at_once():
    book = talking().client(FORCE).expect(upstream=[{"type": "input_audio_buffer.commit"}])
    assert "microphone" not in book.timers
    book.client(FORCE).expect()
    book.upstream(COMMITTED).expect(upstream=CREATE)
    book.upstream(response_created(), {"type": "input_audio_buffer.speech_stopped", "item_id": "u"}).forget()
    book.upstream(response_done()).expect(AUDIO_DONE, DONE)


def test_a_turn_that_is_ended_by_hand_is_ended_at_once_and_not_again_later():
    book = manual().client(bytes(9600)).forget().client(FORCE)
    book.expect(upstream=[{"type": "input_audio_buffer.commit"}, *CREATE])
    assert "manual_commit" not in book.timers


@pytest.mark.parametrize("is_manual", [True, False])
def test_without_an_open_turn_there_is_none_to_end(is_manual):
    (manual() if is_manual else Playbook().ready()).client(FORCE).expect()


def test_a_turn_that_the_detector_has_ended_is_not_ended_again():
    book = talking().upstream({"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 9}).forget()
    book.client(FORCE).expect()


def test_a_turn_that_the_client_and_the_detector_end_at_the_same_time_is_answered_once():
    stopped = {"type": "input_audio_buffer.speech_stopped", "item_id": "u"}
    book = talking().client(FORCE).upstream(stopped, COMMITTED, response_created()).forget()
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "the rest"})
    book.upstream(error("conversation_already_has_active_response"), response_done()).expect(AUDIO_DONE, DONE)


def test_a_turn_can_be_ended_by_hand_again_where_there_was_nothing_to_commit():
    book = manual().client(bytes(9600), FORCE).forget().upstream(error("input_audio_buffer_commit_empty")).expect()
    book.client(bytes(9600)).forget().client(FORCE).expect(upstream=[{"type": "input_audio_buffer.commit"}])


def test_an_end_of_a_turn_that_the_upstream_does_not_acknowledge_is_not_waited_for_for_ever():
    book = talking().client(FORCE).forget().fire(Wait.COMMIT).expect(upstream=CREATE)
    assert not book.session.state.is_committing


def test_a_turn_is_ended_in_its_place_among_what_comes_early():
    book = Playbook().opened().client(settings(turn_detection="manual"), bytes(9600), FORCE).forget()
    book.upstream({"type": "session.created"}).forget().upstream({"type": "session.updated"})
    kinds = [event["type"] for event in book.events_to_upstream]
    assert kinds == ["input_audio_buffer.append", "input_audio_buffer.commit", "response.create"]
