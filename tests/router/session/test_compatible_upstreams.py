"""The quirks of compatible servers (docs/upstream-protocol.md, section 12), each with its handling."""

import base64

import pytest

from actors.restart import Loss, LossKind
from router.openai.events import CONSUMED
from tests.support.data.recordings import recording
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    SETTINGS,
    STARTED,
    Playbook,
    assistant,
    call_done,
    request,
    response_created,
    response_done,
    text_done,
    user,
)
from tests.support.machine.replay import client_frames, recorded_texts, replayed

LOST = Loss(kind=LossKind.CLOSED, code=1006)
XAI = "xai-text-in-audio-out"


def events(name, direction="received"):
    return [interaction.event for interaction in recording(name) if interaction.direction == direction]


def of_type(kind, name=XAI):
    return [event for event in events(name) if event["type"] == kind]


def xai_transcript(transcript, status=None, kind="completed"):
    event = {"type": f"conversation.item.input_audio_transcription.{kind}", "item_id": "u", "transcript": transcript}
    return event if status is None else {**event, "status": status}


# xAI, recorded.


def test_an_item_that_is_never_done_is_acknowledged_by_added():
    assert of_type("conversation.item.added")
    assert not of_type("conversation.item.done")
    book = replayed(XAI)
    assert [event["type"] for event in book.events_to_upstream].count("response.create") == 1
    assert not book.session.state.pending.awaits_acknowledgement


def test_status_details_in_a_string_end_the_response():
    (done,) = of_type("response.done")
    assert isinstance(done["response"]["status_details"], str)
    book = replayed(XAI)
    assert client_frames(book)[-1] == AUDIO_DONE
    assert book.session.state.turn.response.name == "NONE"


def test_content_of_another_type_name_is_sent():
    added = [event["item"].get("content") for event in of_type("conversation.item.added")]
    parts = [part["type"] for content in added if content for part in content]
    (done,) = of_type("response.done")
    assert done["response"]["output"][0]["content"][0]["type"] == "audio"
    assert "output_audio" not in parts
    assert assistant(recorded_texts(XAI)[0]) in client_frames(replayed(XAI))


@pytest.mark.parametrize("kind", ["ping", "conversation.created"])
def test_its_own_events_are_ignored_by_name(kind):
    assert of_type(kind)
    assert kind in CONSUMED
    assert not replayed(XAI).session.state.unknown_types


# xAI, as it transcribes.


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_repeated_transcripts_are_sent_once_when_they_are_complete(profile):
    book = Playbook(profile).ready()
    book.upstream(
        {"type": "input_audio_buffer.speech_started", "item_id": "u"},
        xai_transcript("Hello?", kind="updated"),
        xai_transcript("Hello?", "in_progress"),
        {"type": "input_audio_buffer.committed", "item_id": "u"},
        xai_transcript("Hello, my name", kind="updated"),
        xai_transcript("Hello, my name", "in_progress"),
        xai_transcript("Hello, my name is Ada.", "completed"),
    )
    texts = [frame for frame in book.frames_to_client if frame["type"] == "ConversationText"]
    assert texts == [user("Hello, my name is Ada.")]
    assert not book.session.state.unknown_types


def test_a_transcript_that_is_completed_twice_is_sent_once():
    book = Playbook("converse").ready()
    book.upstream(xai_transcript("Hello."), xai_transcript("Hello, Ada."))
    book.expect(user("Hello."))


# Beta names.


def test_the_beta_s_created_acknowledges_an_item():
    book = Playbook("converse").ready().client({"type": "InjectUserMessage", "content": "Hi"})
    (item,) = [event["item"] for event in book.events_to_upstream]
    book.forget().upstream({"type": "conversation.item.created", "item": item})
    book.expect(upstream=[{"type": "response.create"}])


def test_text_and_audio_under_their_beta_names_are_sent():
    book = Playbook("converse").ready().upstream(response_created())
    book.upstream(
        {"type": "response.audio.delta", "response_id": "resp_1", "item_id": "i", "delta": "AAAA"},
        {"type": "response.audio_transcript.delta", "response_id": "resp_1", "item_id": "i", "delta": "Hi."},
        {"type": "response.audio.done", "response_id": "resp_1", "item_id": "i"},
        {"type": "response.audio_transcript.done", "response_id": "resp_1", "item_id": "i", "transcript": "Hi."},
        response_done(),
    )
    assert [frame for frame in book.frames_to_client if frame in (assistant("Hi."), AUDIO_DONE)] == [
        assistant("Hi."),
        AUDIO_DONE,
    ]
    assert b"\0\0" in book.frames_to_client[0] or b"\0\0" in book.frames_to_client[1]
    assert not book.session.state.unknown_types


def test_an_error_whose_code_stands_in_its_type_is_judged_by_it():
    book = Playbook("converse").ready()
    book.upstream({"type": "error", "error": {"type": "response_cancel_not_active", "code": None, "message": "no"}})
    book.expect()
    book.upstream({"type": "error", "error": {"type": "unknown_or_invalid_event", "code": None, "message": "what?"}})
    book.expect({"type": "Error", "code": "unknown_or_invalid_event", "description": "what?"})


# JSON and numbers as other languages write them.


@pytest.mark.parametrize("escaped", ["/", r"\/", r"\u002f", r"\u002F"])
def test_audio_is_played_however_its_base64_is_escaped(escaped):
    """PHP and Swift escape a slash, C# and Java a plus sign or the padding."""
    book = Playbook("converse").ready().upstream(response_created()).forget()
    delta = base64.b64encode(b"\xff\xff" * 3).decode().replace("/", escaped)
    book.upstream(f'{{"type":"response.output_audio.delta","response_id":"resp_1","delta":"{delta}"}}')
    book.expect(b"\xff\xff" * 3)


def test_a_rate_may_be_written_with_a_decimal_point():
    """Rust and Kotlin write floating-point numbers so."""
    book = Playbook("converse").opened().client(SETTINGS).upstream_opens().upstream({"type": "session.created"})
    own = {"format": {"type": "audio/pcm", "rate": 16000.0}}
    book.upstream({"type": "session.updated", "session": {"audio": {"input": own, "output": own}}})
    book.forget().client(bytes(2 * 480))
    (append,) = book.events_to_upstream
    assert len(base64.b64decode(append["audio"])) < 2 * 480


def test_half_a_character_in_a_delta_does_not_cost_its_upstream():
    """A relay in JavaScript cuts a text between UTF-16 units."""
    kind = '{"type":"response.output_text.delta","response_id":"resp_1","item_id":"item_1","delta":"%s"}'
    book = Playbook().ready().upstream(response_created(), kind % "Hi \\ud83d", kind % "\\ude00", text_done("Hi 😀"))
    book.expect(STARTED, assistant("Hi 😀"))


# Ids.


@pytest.mark.parametrize("loss", [None, LOST], ids=["in one upstream", "in the next"])
def test_an_upstream_may_give_the_id_of_an_earlier_call_again(loss):
    answer = {"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}
    book = Playbook().ready().upstream(response_created(), call_done(), response_done()).client(answer)
    book.upstream(response_created("resp_2"), response_done("resp_2"))
    if loss is not None:
        book.upstream_is_lost(loss).upstream_opens()
        book.upstream({"type": "session.created"}, {"type": "session.updated"})
    response_id = "resp_3" if loss is None else "resp_1"
    book.forget().upstream(response_created(response_id), call_done(response_id=response_id))
    assert book.frames_to_client[0] == request("call_1", "lookup", "{}")
    book.forget().upstream(call_done(response_id=response_id)).expect()


def test_speech_is_sent_although_an_upstream_numbers_its_items_like_the_one_before():
    book = Playbook().ready().upstream(xai_transcript("Hello.")).forget()
    book.upstream_is_lost(LOST).upstream_opens().upstream({"type": "session.created"}, {"type": "session.updated"})
    book.forget().upstream(xai_transcript("Are you there?"))
    assert book.frames_to_client[0] == user("Are you there?")


def test_an_answer_does_not_acknowledge_a_text_that_was_spoken_word_for_word():
    """Some servers acknowledge no assistant item, and give their own assistant items no status."""
    message = {"type": "InjectAgentMessage", "message": "Mind the gap."}
    book = Playbook().ready().client(message).upstream(response_created(), response_done(), response_created("resp_2"))
    book.upstream({"type": "conversation.item.added", "item": {"id": "item_1", "type": "message", "role": "assistant"}})
    book.forget().upstream({**text_done("Hi."), "response_id": "resp_2"}).expect(STARTED, assistant("Hi."))


# Unreadable fields.


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.created", "session": {"id": 7, "expires_at": "at noon", "model": None}},
        {"type": "session.created", "session": None},
        {"type": "session.created", "event_id": None},
    ],
)
def test_an_unreadable_field_does_not_cost_its_event(event):
    book = Playbook("converse").opened().client({"type": "Settings", "audio": {}, "agent": {}})
    book.upstream_opens().forget().upstream(event)
    assert [event["type"] for event in book.events_to_upstream] == ["session.update"]


def test_the_rest_of_an_event_counts_where_a_field_of_it_is_unreadable():
    book = Playbook("openai").ready().upstream(response_created()).forget()
    item = {"id": "i", "role": "assistant", "content": [{"text": "Hi."}, {"text": 5, "transcript": " Ho."}]}
    book.upstream({"type": "conversation.item.done", "item": item})
    book.upstream({"type": "response.done", "response": {"id": "resp_1", "status": "completed", "status_details": []}})
    book.expect(STARTED, assistant("Hi. Ho."), AUDIO_DONE, DONE)


def test_an_error_that_is_only_a_text_is_sent_with_its_text():
    book = Playbook("converse").ready().upstream({"type": "error", "error": "out of memory"})
    (frame,) = book.frames_to_client
    assert "out of memory" in frame["description"]


def test_the_item_of_an_answer_acknowledges_no_text_that_was_spoken_before():
    book = Playbook("converse").ready().client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    book.upstream(response_created("resp_1"), response_done("resp_1"), response_created("resp_2"))
    said = {"id": "item_2", "type": "message", "role": "assistant", "content": []}
    book.upstream({"type": "response.output_item.added", "response_id": "resp_2", "item": said}).forget()
    content = [{"type": "output_audio", "transcript": "At noon."}]
    done = {"type": "conversation.item.done", "item": {**said, "status": "completed", "content": content}}
    assert assistant("At noon.") in book.upstream(done).frames_to_client
