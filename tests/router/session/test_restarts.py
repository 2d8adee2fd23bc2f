"""An upstream is lost, and the client gets its answer."""

import orjson
import pybase64
import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    DONE,
    STARTED,
    THINKING,
    Playbook,
    asks_for,
    assistant,
    call_done,
    delta,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
    transcript_delta,
    transcript_done,
    user,
)

RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}
CREATE = {"type": "response.create"}
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
RESTART = Decision.RESTART


def said(role, text):
    kind = "input_text" if role == "user" else "output_text"
    return {"item": {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}}


def asked(content="hello", profile="openai", **options):
    """A question is out and acknowledged."""
    book = Playbook(profile, **options).ready().client({"type": "InjectUserMessage", "content": content})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    return book.upstream(item_added(item_id)).forget()


def acknowledge_last(book):
    """Acknowledge the item that was created last."""
    created = [e["item"] for e in book.events_to_upstream if e["type"] == "conversation.item.create"]
    book.forget()
    return book.upstream({"type": "conversation.item.added", "item": created[-1]})


def restart(book, *to_client):
    """Another upstream comes up; what it is told is left in the book."""
    book.upstream_opens().upstream({"type": "session.created", "session": {}})
    assert [event["type"] for event in book.events_to_upstream] == ["session.update"]
    book.forget().upstream({"type": "session.updated", "session": {}})
    assert book.frames_to_client == list(to_client)
    return book


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_upstream_closes_1000_before_it_answers_and_the_question_is_answered(profile):
    book = asked(profile=profile).upstream_closes(1000, decision=RESTART)
    assert book.commands[-1] == messages.OpenUpstream(2, "gpt-realtime-2.1")
    book.expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])
    book.upstream(response_created("r2"), text_done("Hi."), response_done("r2"))
    component = [STARTED] if profile == "openai" else []
    done = [AUDIO_DONE, DONE] if profile == "openai" else [AUDIO_DONE]
    book.expect(*component, assistant("Hi."), *done)
    assert book.refills == 1


def test_the_whole_conversation_is_told_in_order():
    given = settings(context={"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    book = Playbook().ready(given).client({"type": "InjectUserMessage", "content": "c"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_created())
    book.upstream(call_done("call_1", "lookup", "{}"), response_done()).forget()
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.upstream(response_created("r2"), text_done("It is 42.", "i2"), response_done("r2")).forget()
    book.upstream_closes(1006, decision=RESTART).expect(RESTARTED)
    restart(book).expect(
        upstream=[
            said("user", "a"),
            said("assistant", "b"),
            said("user", "c"),
            {"item": {"type": "function_call", "call_id": "call_1", "name": "lookup", "arguments": "{}"}},
            {"item": {"type": "function_call_output", "call_id": "call_1", "output": "42"}},
            said("assistant", "It is 42."),
        ]
    )


def test_between_turns_nothing_is_asked():
    book = asked().upstream(response_created(), text_done("Hi."), response_done()).forget()
    book.upstream_closes(1001, decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect()


def test_an_item_that_was_not_acknowledged_is_asked_again():
    book = Playbook().ready().client({"type": "InjectUserMessage", "content": "hello"}).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_a_later_question_is_asked_again_like_the_first():
    """What was told of an earlier answer says nothing of this one."""
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("Hi."), response_done()).forget()
    book.client({"type": "InjectUserMessage", "content": "and?"}).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_what_the_client_says_meanwhile_waits_and_is_answered_too():
    book = asked().upstream_closes(decision=RESTART).expect(RESTARTED)
    book.client({"type": "InjectUserMessage", "content": "are you there?"}).expect(user("are you there?"))
    restart(book)
    texts = [event["item"]["content"][0]["text"] for event in book.events_to_upstream]
    assert texts == ["hello", "are you there?"]


def test_text_that_was_not_delivered_is_asked_for_from_the_beginning():
    book = asked().upstream(response_created(), {"type": "response.output_text.delta", "delta": "H"}).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_an_answer_that_was_cut_off_is_continued_and_is_one_turn():
    book = asked().upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000)))
    book.forget().upstream_closes(decision=RESTART).expect(assistant("The answer is"), RESTARTED)
    book = restart(book)
    assert [event["item"]["content"][0]["text"] for event in book.events_to_upstream] == ["hello", "The answer is"]
    acknowledge_last(book)
    (create,) = book.events_to_upstream
    assert create["response"]["instructions"] == (
        'Be brief.\n\nYour last answer was cut off after these words: "The answer is". '
        "Go on from exactly there, without repeating them."
    )
    book.forget().upstream(response_created("r2"), delta(b"\1\1", "r2"), transcript_done("forty two.", "i2"))
    book.upstream(response_done("r2")).expect(b"\1\1", assistant("forty two."), AUDIO_DONE, DONE)


def test_what_was_asked_during_an_answer_that_was_cut_off_is_answered_after_its_rest():
    book = asked().upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000)))
    book.after(2).client({"type": "InjectUserMessage", "content": "and?"})  # what was said so far has been heard
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()
    book.upstream_closes(decision=RESTART).expect(assistant("The answer is"), RESTARTED)
    acknowledge_last(restart(book))
    assert "instructions" in book.events_to_upstream[0]["response"]
    book.forget().upstream(response_created("r2"), transcript_done("forty two.", "i2"), response_done("r2"))
    book.expect(assistant("forty two."), AUDIO_DONE, DONE, upstream=[CREATE])


def test_a_message_that_was_queued_behind_an_answer_comes_behind_its_rest():
    book = asked().upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000)))
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "queue"})
    book.upstream_closes(decision=RESTART).forget()
    restart(book)
    assert "response.create" not in [event["type"] for event in book.events_to_upstream]
    book = acknowledge_last(book)
    (create,) = book.events_to_upstream
    assert "cut off" in create["response"]["instructions"]
    book.forget().upstream(response_created("r2"), transcript_delta(" 42"), response_done("r2"))
    assert book.events_to_upstream[-1] == asks_for("Mind the gap.") | {"event_id": ANY, "response": ANY}


def test_a_message_that_was_queued_behind_an_answer_that_failed_comes_behind_it():
    book = asked().upstream(response_created())
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "queue"})
    book.upstream(response_done(status="failed")).forget()
    book.fire(Wait.ASK_AGAIN).expect(upstream=[CREATE])


def test_what_is_asked_while_the_rest_of_an_answer_is_still_wanted_is_answered_too():
    book = asked().upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000)))
    book.upstream_closes(decision=RESTART).client({"type": "UpdatePrompt", "prompt": "Hurry."}).forget()
    book = acknowledge_last(restart(book)).forget()
    book.after(1).client({"type": "InjectUserMessage", "content": "And now?"})  # nothing is heard any more
    book = acknowledge_last(book).forget().upstream({"type": "session.updated"})
    assert "cut off" in book.events_to_upstream[-1]["response"]["instructions"]
    book.upstream(response_created("r2")).forget().upstream(response_done("r2"))
    assert book.events_to_upstream == [{**CREATE, "event_id": ANY}]


def test_what_was_asked_after_all_was_told_is_answered():
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("Hi."))
    book.client({"type": "InjectUserMessage", "content": "and?"}).forget()
    book.upstream_closes(decision=RESTART).expect(AUDIO_DONE, DONE, RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_an_answer_that_was_cut_off_may_be_left_at_that():
    book = asked(interrupted_answer="stop")
    book.upstream(response_created(), transcript_delta("The answer is forty two."), delta(bytes(48000))).forget()
    book.upstream_closes(decision=RESTART).expect(assistant("The answer is"), AUDIO_DONE, DONE, RESTARTED)
    acknowledge_last(restart(book)).expect()


def test_an_answer_that_was_told_but_for_its_end_is_not_asked_for_again():
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("Hi.")).forget()
    book.upstream_closes(decision=RESTART).expect(AUDIO_DONE, DONE, RESTARTED)
    acknowledge_last(restart(book)).expect()


def test_what_was_told_of_a_response_that_failed_is_its_beginning():
    details = {"type": "failed", "error": {"type": "server_error", "code": None, "message": "oh"}}
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("The answer")).forget()
    book.upstream(response_done(status="failed", status_details=details)).expect()
    book.fire(Wait.ASK_AGAIN)
    assert 'cut off after these words: "The answer"' in book.events_to_upstream[0]["response"]["instructions"]
    book.forget().upstream(response_created("r2"), transcript_done("is 42.", "i2"), response_done("r2"))
    book.expect(assistant("is 42."), AUDIO_DONE, DONE)


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_what_was_told_of_a_response_that_failed_ahead_of_its_sound_is_said_and_not_told_again(profile):
    book = asked(profile=profile).upstream(response_created(), transcript_delta("The answer is 42, I think."))
    book.upstream(delta(bytes(48_000)), transcript_done("The answer is 42, I think.")).forget()
    taken_back = {"type": "conversation.item.truncate", "item_id": "item_1", "audio_end_ms": 1000}
    book.upstream(response_done(status="failed")).expect(upstream=[taken_back]).fire(Wait.ASK_AGAIN)
    assert 'cut off after these words: "The answer is"' in book.events_to_upstream[0]["response"]["instructions"]
    rest = transcript_done("42, I think. Good bye.", "i2")
    book.forget().upstream(response_created("r2"), delta(b"\1\1", "r2"), rest, response_done("r2"))
    said = [frame["content"] for frame in book.frames_to_client if isinstance(frame, dict) and "content" in frame]
    assert said == ["Good bye."]


def test_an_answer_that_fails_a_second_time_in_mid_sentence_is_gone_on_with_by_the_next_upstream():
    book = asked().upstream(response_created(), delta(b"\1\1"), transcript_done("The answer"))
    book.upstream(response_done(status="failed")).fire(Wait.ASK_AGAIN)
    book.upstream(response_created("r2"), transcript_delta(" is 42, I think.", "i2", "r2"), delta(bytes(24_000), "r2"))
    book.upstream(transcript_done(" is 42, I think.", "i2"), response_done("r2", status="failed")).forget()
    book.upstream_is_lost(Loss(kind=LossKind.REFUSED, cause="server_error"), RESTART).expect(RESTARTED)
    book = acknowledge_last(restart(book))
    assert 'cut off after these words: "is 42,"' in book.events_to_upstream[0]["response"]["instructions"]
    book.forget().upstream(response_created("r3"), delta(b"\1\1", "r3"), transcript_done("I think. Bye.", "i3"))
    book.upstream(response_done("r3")).expect(b"\1\1", assistant("Bye."), AUDIO_DONE, DONE)


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_what_was_told_ahead_of_its_sound_is_not_told_again_where_the_rest_is_cut_off_too(profile):
    book = asked(profile=profile).upstream(response_created(), transcript_delta("The answer is 42, I think."))
    book.upstream(delta(bytes(48_000)), transcript_done("The answer is 42, I think."), response_done(status="failed"))
    book.fire(Wait.ASK_AGAIN).forget()
    book.upstream(response_created("r2"), transcript_delta("42, I think. Good", "i2", "r2"), delta(bytes(18_000), "r2"))
    book.forget().upstream_closes(decision=RESTART).expect(RESTARTED)
    book = acknowledge_last(restart(book))
    assert 'cut off after these words: "42, I"' in book.events_to_upstream[0]["response"]["instructions"]
    book.forget().upstream(response_created("r3"), delta(b"\1\1", "r3"), transcript_done("think. Good bye.", "i3"))
    said = [frame["content"] for frame in book.frames_to_client if isinstance(frame, dict) and "content" in frame]
    assert said == ["Good bye."]


def test_a_session_that_expires_at_the_very_question_still_owes_the_answer():
    book = Playbook().ready().client({"type": "InjectUserMessage", "content": "hello"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]))
    asked_with = book.events_to_upstream[-1]["event_id"]
    book.forget().upstream(error("session_expired", event_id=asked_with))
    assert [type(command) for command in book.commands] == [messages.AbandonUpstream]
    book.forget().upstream_closes(1001, decision=RESTART).expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


# Function calls.


def test_a_call_that_the_client_works_on_is_replayed_and_its_answer_is_taken():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book).expect(upstream=[said("user", "hello"), {"item": {"type": "function_call", "call_id": "call_1"}}])
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.expect(THINKING, upstream=[{"item": {"call_id": "call_1", "output": "42"}}, CREATE])
    book.upstream(response_created("r2"), text_done("42.", "i2"), response_done("r2"))
    book.expect(STARTED, assistant("42."), AUDIO_DONE, DONE)


def test_an_answer_to_a_call_that_comes_during_the_restart_is_in_time_however_long_that_takes():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.expect(THINKING)
    assert Wait.TOOL_ANSWER.value not in book.timers
    restart(book)
    kinds = [event.get("item", {}).get("type") for event in book.events_to_upstream]
    assert kinds == ["message", "function_call", "function_call_output", None]


def test_a_call_that_is_given_up_during_the_restart_is_told_to_the_next_upstream_once():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    book.fire(Wait.TOOL_ANSWER)
    assert book.frames_to_client[0]["code"] == "FUNCTION_CALL_FAILED"
    assert book.events_to_upstream == []
    restart(book.forget())
    kinds = [event.get("item", {}).get("type") for event in book.events_to_upstream]
    assert kinds == ["message", "function_call", "function_call_output", None]


def test_an_output_that_was_sent_is_replayed_and_asked_about():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book).expect(
        upstream=[
            said("user", "hello"),
            {"item": {"type": "function_call"}},
            {"item": {"type": "function_call_output", "output": "42"}},
            CREATE,
        ]
    )


def test_no_tool_runs_twice():
    book = asked().upstream(response_created(), call_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book)
    assert "response.create" not in [event["type"] for event in book.events_to_upstream]
    book.forget().upstream(call_done()).expect()


# Speech.


def test_audio_that_was_not_committed_is_appended_again():
    book = Playbook().ready().client(b"\1\0" * 480)
    book.upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"}).client(b"\2\0" * 480).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    book.client(b"\3\0" * 480)
    restart(book)
    audio = b"".join(pybase64.b64decode(event["audio"]) for event in book.events_to_upstream)
    assert audio == b"\1\0" * 480 + b"\2\0" * 480 + b"\3\0" * 480
    book.forget().upstream({"type": "input_audio_buffer.speech_started", "item_id": "u2"}).expect()
    book.upstream({"type": "input_audio_buffer.speech_started", "item_id": "u3"}).expect(
        {"type": "UserStartedSpeaking"}
    )


def spoken():
    book = Playbook().ready().client(b"\1\0" * 2400)
    book.upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"})
    return book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()


def test_speech_that_nobody_has_transcribed_is_replayed_as_audio():
    book = spoken().upstream_closes(decision=RESTART).expect(RESTARTED)
    book = restart(book)
    (event,) = book.events_to_upstream
    (part,) = event["item"]["content"]
    assert (part["type"], pybase64.b64decode(part["audio"])) == ("input_audio", b"\1\0" * 2400)
    acknowledge_last(book).expect(upstream=[CREATE])


def test_speech_that_was_transcribed_is_replayed_as_text_in_its_place():
    completed = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "transcript": " Hm? "}
    book = spoken().upstream(response_created(), text_done("Yes."), completed, response_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book).expect(upstream=[said("user", "Hm?"), said("assistant", "Yes.")])


def test_a_client_is_told_to_stop_playing_where_another_upstream_took_what_the_first_heard_for_no_speech():
    book = Playbook().ready().client(bytes(9600)).upstream(SPEECH_STARTED).forget()
    book.upstream_closes(decision=RESTART).forget()
    restart(book).forget().fire(Wait.COMMIT)
    book.upstream(SPEECH_STARTED).expect({"type": "UserStartedSpeaking"})


def test_a_commit_by_hand_that_was_not_acknowledged_is_made_again():
    book = Playbook().ready(settings(turn_detection="manual")).client(bytes(9600))
    book.fire(Wait.MANUAL_COMMIT).forget().upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book)
    kinds = [event["type"] for event in book.events_to_upstream]
    assert kinds == ["input_audio_buffer.append", "input_audio_buffer.commit", "response.create"]


def test_a_turn_that_the_pause_would_have_ended_during_a_restart_is_ended_after_it():
    book = Playbook().ready(settings(turn_detection="manual")).client(bytes(9600)).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    assert Wait.MANUAL_COMMIT.value not in book.timers
    restart(book).forget().fire(Wait.MANUAL_COMMIT)
    assert [event["type"] for event in book.events_to_upstream] == ["input_audio_buffer.commit", "response.create"]


# The restart itself.


def test_before_settings_are_applied_a_restart_is_not_told():
    book = Playbook().opened().client(settings()).forget()
    book.upstream_closes(1013, decision=RESTART).expect()
    restart(book, {"type": "SettingsApplied"})


def test_that_a_restart_went_well_is_logged():
    book = restart(asked().upstream_closes(decision=RESTART).forget())
    assert "upstream 2 has taken over" in book.logged


def test_a_restart_of_a_restart_still_has_the_question():
    book = asked().upstream_closes(decision=RESTART).expect(RESTARTED)
    book.upstream_is_lost(Loss(kind=LossKind.NOT_DIALLED, cause="refused"), RESTART, delay_s=0.5)
    assert book.commands[-1] == messages.OpenUpstream(3, "gpt-realtime-2.1", 0.5)
    book.expect(RESTARTED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])


def test_a_restart_that_takes_too_long_is_given_up():
    book = asked().upstream_closes(decision=RESTART).forget().fire(Wait.RESTART)
    assert book.commands == [messages.AbandonUpstream(2, Loss(kind=LossKind.SILENT, cause="restart"))]


def test_a_client_s_own_session_updates_are_told_again():
    change = {"type": "session.update", "session": {"type": "realtime", "instructions": "New."}}
    more = {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"speed": 1.2}}}}
    book = Playbook().ready()
    for update in (change, more):
        book.client(update).upstream({"type": "session.updated"})
    book.forget().upstream_closes(decision=RESTART).forget()
    book.upstream_opens().upstream({"type": "session.created"})
    first, second = book.events_to_upstream
    assert first["session"]["instructions"] == "Be brief."
    assert second["session"] == {"type": "realtime", "instructions": "New.", "audio": {"output": {"speed": 1.2}}}
    book.forget().upstream({"type": "session.updated"}).expect()
    book.client({"type": "response.create"}).expect()
    book.upstream({"type": "session.updated"}).expect(upstream=[CREATE])


def test_an_upstream_that_refuses_what_the_one_before_took_is_used_without_it():
    update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be kind."}}
    book = Playbook().ready().client(update).upstream({"type": "session.updated"}).forget()
    book.upstream_closes(decision=RESTART).upstream_opens().upstream({"type": "session.created"})
    refused = error("unknown_parameter", event_id=book.events_to_upstream[-1]["event_id"])
    book.forget().upstream({"type": "session.updated"}, refused)
    assert [message["code"] for message in book.frames_to_client] == ["unknown_parameter"]
    assert [event["type"] for event in book.events_to_upstream] == ["session.update"]
    book.forget().upstream({"type": "session.updated"}).client(b"\1\1")
    assert [event["type"] for event in book.events_to_upstream] == ["input_audio_buffer.append"]


def test_an_expired_session_is_given_up_at_once():
    book = Playbook().ready().upstream(error("session_expired"))
    assert [(c.generation, c.loss.cause, c.loss.is_fatal) for c in book.commands] == [(1, "session_expired", False)]


def test_a_client_that_is_gone_cancels_its_answer():
    book = asked().upstream(response_created()).forget()
    book.feed(messages.ClientClosed(ConnectionClosed(ending=Ending.RESET, code=1006)))
    assert book.events_to_upstream == [{"type": "response.cancel", "response_id": "resp_1"}]
    assert book.ending is not None


# Rolling over.


def rolling(book):
    """The next upstream is opened while this one serves."""
    book.fire(Wait.ROLLOVER)
    (command,) = [c for c in book.commands if isinstance(c, messages.OpenUpstream)]
    assert command.is_standby
    book.forget()
    return command.generation


def feed_spare(book, generation, *events):
    for event in events:
        book.feed(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))


def test_before_a_session_expires_the_next_is_got_ready_and_plugged_in_between_turns():
    book = asked().upstream(response_created()).forget()
    generation = rolling(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_spare(book, generation, {"type": "session.created", "session": {}})
    assert [(c.generation, e["type"]) for c, e in zip(book.commands, book.events_to_upstream, strict=True)] == [
        (generation, "session.update")
    ]
    book.forget()
    feed_spare(book, generation, {"type": "session.updated", "session": {}})
    assert [c.generation for c in book.commands] == [generation]
    book.expect(upstream=[said("user", "hello")])
    book.upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."))
    book.upstream(response_done())
    assert messages.CloseUpstream(1) in book.commands
    book.expect(AUDIO_DONE, DONE, upstream=[said("assistant", "Hi.")])
    assert book.generation == generation
    book.client({"type": "InjectUserMessage", "content": "again"}).expect(
        user("again"), upstream=[said("user", "again")]
    )
    assert book.session.describe()["rollovers"] == 1


def test_an_upstream_that_is_lost_with_the_next_at_hand_is_replaced_at_once():
    book = asked().upstream(response_created()).forget()
    generation = rolling(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_spare(book, generation, {"type": "session.created"}, {"type": "session.updated"})
    book.forget().upstream_closes(1001, decision=Decision.TEAR_DOWN).expect(RESTARTED, upstream=[CREATE])
    assert book.generation == generation


def test_an_upstream_that_was_given_up_and_followed_by_the_next_is_not_missed():
    """Its loss is told when another is in use already."""
    book = Playbook().ready()
    generation = rolling(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_spare(book, generation, {"type": "session.created"})
    book.forget().upstream(error("session_expired"))
    feed_spare(book, generation, {"type": "session.updated"})
    assert book.generation == generation
    loss = Loss(kind=LossKind.REFUSED, cause="session_expired")
    book.forget().feed(messages.UpstreamLost(1, loss, Verdict(decision=RESTART))).expect()
    assert book.generation == generation


def test_a_next_upstream_that_fails_is_tried_again_and_the_client_is_warned_once():
    book = Playbook().ready()
    warning = {"type": "Warning", "code": "MAXIMUM_SESSION_LENGTH_APPROACHING", "description": ANY}
    verdict = Verdict(decision=RESTART)
    for expected in ([warning], []):
        generation = rolling(book)
        book.feed(messages.UpstreamLost(generation, Loss(kind=LossKind.NOT_DIALLED), verdict)).expect(*expected)
        assert book.timers["rollover"] == 10.0
    assert rolling(book) == generation + 1


@pytest.mark.parametrize(
    ("life_s", "expected"),
    [(3600, 3540), (100, 90), (None, 3300), (-5, 3300), (8, 3300), (1.7e12, 3300)],
    ids=["an hour", "a short life", "absent", "past", "implausibly near", "milliseconds"],
)
def test_the_next_upstream_is_got_ready_in_time_and_clocks_are_not_trusted_blindly(life_s, expected):
    book = Playbook().opened().upstream_opens()
    session = {} if life_s is None else {"expires_at": int(book.unix_s) + life_s}
    book.upstream({"type": "session.created", "session": session})
    assert book.timers["rollover"] == pytest.approx(expected)
