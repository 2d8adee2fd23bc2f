"""The conversation as another upstream receives it."""

import pybase64

from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.beginnings import acknowledge_last, asked, message_item, restart
from tests.support.machine.playbook import (
    ANY,
    Playbook,
    call_done,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
)

RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}
CREATE = {"type": "response.create"}
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
RESTART = Decision.RESTART


def spoken_question():
    book = Playbook().ready().client(b"\1\0" * 2400)
    book.upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"})
    return book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()


def test_the_next_upstream_gets_the_whole_conversation_in_order():
    given = settings(context={"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    book = Playbook().ready(given).client({"type": "InjectUserMessage", "content": "c"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_created())
    book.upstream(call_done("call_1", "lookup", "{}"), response_done()).forget()
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.upstream(response_created("r2"), text_done("It is 42.", "i2"), response_done("r2")).forget()
    book.upstream_closes(1006, decision=RESTART).expect(RESTARTED)
    restart(book).expect(
        upstream=[
            message_item("user", "a"),
            message_item("assistant", "b"),
            message_item("user", "c"),
            {"item": {"type": "function_call", "call_id": "call_1", "name": "lookup", "arguments": "{}"}},
            {"item": {"type": "function_call_output", "call_id": "call_1", "output": "42"}},
            message_item("assistant", "It is 42."),
        ]
    )


def test_a_successful_takeover_is_logged():
    book = restart(asked().upstream_closes(decision=RESTART).forget())
    assert "upstream 2 has taken over" in book.logged


# Speech.


def test_uncommitted_audio_is_appended_again():
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


def test_untranscribed_speech_is_replayed_as_audio():
    book = spoken_question().upstream_closes(decision=RESTART).expect(RESTARTED)
    book = restart(book)
    (event,) = book.events_to_upstream
    (part,) = event["item"]["content"]
    assert (part["type"], pybase64.b64decode(part["audio"])) == ("input_audio", b"\1\0" * 2400)
    acknowledge_last(book).expect(upstream=[CREATE])


def test_transcribed_speech_is_replayed_as_text_in_its_place():
    completed = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "transcript": " Hm? "}
    book = spoken_question().upstream(response_created(), text_done("Yes."), completed, response_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book).expect(upstream=[message_item("user", "Hm?"), message_item("assistant", "Yes.")])


def test_a_client_stops_playing_at_new_speech_where_the_next_upstream_took_the_replayed_speech_for_a_noise():
    book = Playbook().ready().client(bytes(9600)).upstream(SPEECH_STARTED).forget()
    book.upstream_closes(decision=RESTART).forget()
    restart(book).forget().fire(Wait.COMMIT)
    book.upstream(SPEECH_STARTED).expect({"type": "UserStartedSpeaking"})


def test_an_unacknowledged_commit_is_repeated():
    book = Playbook().ready(settings(turn_detection="manual")).client(bytes(9600))
    book.fire(Wait.MANUAL_COMMIT).forget().upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book)
    kinds = [event["type"] for event in book.events_to_upstream]
    assert kinds == ["input_audio_buffer.append", "input_audio_buffer.commit", "response.create"]


def test_a_turn_that_the_pause_ends_during_a_restart_is_committed_after_it():
    book = Playbook().ready(settings(turn_detection="manual")).client(bytes(9600)).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    assert Wait.MANUAL_COMMIT.value not in book.timers
    restart(book).forget().fire(Wait.MANUAL_COMMIT)
    assert [event["type"] for event in book.events_to_upstream] == ["input_audio_buffer.commit", "response.create"]


def test_an_answer_to_speech_covers_no_output_that_the_next_upstream_has_not_acknowledged():
    book = asked().upstream(response_created(), call_done(), response_done())
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    output = next(it["item"] for it in book.events_to_upstream if it["type"] == "conversation.item.create")
    book.upstream({"type": "conversation.item.added", "item": output})
    restart(book.upstream_closes(decision=RESTART).forget())
    assert book.events_to_upstream[-1]["type"] == "response.create"
    committed = {"type": "input_audio_buffer.committed", "item_id": "u"}
    book.upstream(SPEECH_STARTED, committed, response_created("own"), response_done("own"))
    assert Wait.FIRST_EVENT.value in book.timers
    book.upstream(response_created("r2"), response_done("r2"))
    assert Wait.FIRST_EVENT.value not in book.timers
