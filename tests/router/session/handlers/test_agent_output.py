"""The text and audio of a response, on their way into messages for the client."""

import orjson
import pytest

from actors.messages import SendToClient
from router.session.handlers.agent_output import deliver_withheld
from router.session.state.pending import MAX_WITHHELD, MAX_WITHHELD_CHARS, ResponseRequest, SentRequest
from router.session.state.states import ResponseState
from router.session.state.text_delivery import MAX_CHARS, MAX_PARTS
from tests.support.machine.beginnings import acknowledge_last, answering, asked, responding
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
    response_created,
    response_done,
    text_done,
    transcribed,
    transcript_delta,
    transcript_done,
)
from tests.support.machine.timed_playbook import outside


def text_delta(text):
    return {"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "item_1", "delta": text}


# Text.


def test_converse_sends_official_messages_only():
    book = answering("converse")
    book.upstream(text_done("Hi."), response_done()).expect(assistant("Hi."), AUDIO_DONE)


def test_text_is_sent_once_whichever_event_brings_it():
    said = [{"type": "output_audio", "transcript": "Hi."}]
    item = {
        "type": "conversation.item.done",
        "item": {"id": "item_1", "type": "message", "role": "assistant", "content": said},
    }
    for events in ([transcript_done("Hi."), item], [item, transcript_done("Hi.")], [item], [text_done("Hi."), item]):
        answering().upstream(*events).expect(STARTED, assistant("Hi."))


def test_a_late_text_is_sent_once_although_a_delta_of_it_is_later_still():
    book = Playbook("openai").ready().upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
    book.upstream({"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "item_1", "delta": "Hi."})
    book.upstream({"type": "conversation.item.done", "item": {"id": "item_1", "role": "assistant", "content": []}})
    book.upstream(text_done("Hi.")).expect()


def test_beta_names_are_read():
    book = answering().upstream({"type": "response.text.done", "item_id": "i", "text": "Hi."})
    book.expect(STARTED, assistant("Hi."))


def test_text_that_looks_like_a_function_call_makes_no_request():
    answering().upstream(text_done("Function call: lookup({})")).expect(STARTED, assistant("Function call: lookup({})"))


def test_on_openai_an_item_is_sent_whole():
    book = responding("openai").upstream(transcript_delta("One. Two. ")).expect(STARTED)
    book.upstream(transcript_done("One. Two.")).expect(assistant("One. Two."))


# Sentences.


def test_on_converse_a_sentence_is_sent_when_the_transcript_completes_it():
    book = (
        responding()
        .upstream(transcript_delta("Hello"), transcript_delta(" there! How"))
        .expect(assistant("Hello there!"))
    )
    book.upstream(transcript_delta(" are you? Fi")).expect(assistant("How are you?"))
    book.upstream(transcript_done("Hello there! How are you? Fine.")).expect(assistant("Fine."))
    book.upstream(response_done()).expect(AUDIO_DONE)


def test_a_sentence_is_sent_ahead_of_its_audio():
    book = responding().upstream(transcript_delta("Hello there!"), delta(b"\1\1"))
    book.expect(assistant("Hello there!"), b"\1\1")
    book.upstream(transcript_delta(" How are you?")).expect()
    book.upstream(transcript_done("Hello there! How are you?")).expect(assistant("How are you?"))


def test_text_without_audio_is_sent_in_sentences_too():
    book = responding().upstream(text_delta("One. Two"), text_delta(". ")).expect(assistant("One."), assistant("Two."))
    book.upstream(text_done("One. Two. ")).expect()


def test_text_without_deltas_is_sent_in_sentences():
    responding().upstream(transcript_done("One. Two.", "item_9")).expect(assistant("One."), assistant("Two."))


def test_a_different_final_wording_is_not_sent_again():
    book = responding().upstream(transcript_delta("One. Two and")).expect(assistant("One."))
    book.upstream(transcript_done("Uno. Two and a half.")).expect(assistant("Two and"))


# Audio.


def test_audio_is_sent_as_binary_of_even_length():
    book = answering().upstream(delta(b"\1\2\3"), delta(b"\4\5\6"), delta(b"\7"))
    book.expect(STARTED, b"\1\2", b"\3\4\5\6")


def test_audio_is_read_whatever_the_order_of_its_fields():
    event = delta(b"\1\2\3\4")
    answering().upstream(dict(reversed(event.items()))).expect(STARTED, b"\1\2\3\4")


def test_a_delta_that_is_not_base64_is_dropped_and_the_answer_continues():
    book = answering().upstream({**delta(b""), "delta": "*"}, delta(b"\1\2"))
    book.expect(STARTED, b"\1\2")


# The end of the turn.


def test_a_turn_without_audio_ends_with_agent_audio_done_too():
    answering().upstream(response_done()).expect(AUDIO_DONE, DONE)


def test_a_turn_ends_once():
    book = answering().upstream(text_done("Hi."), response_done()).forget()
    book.upstream(response_done()).expect()


# Latencies.


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


def test_an_experimental_client_is_notified_when_the_agent_starts_to_speak():
    book = responding(given={**SETTINGS, "experimental": True}).after(0.25).upstream(transcript_delta("Hi"))
    book.after(0.5).upstream(delta(b"\1\1"), delta(b"\2\2"))
    latencies = {"total_latency": 0.75, "ttt_latency": 0.25, "tts_latency": 0.5}
    book.expect({**STARTED, **latencies}, b"\1\1", b"\2\2")


def test_a_turn_on_openai_ends_before_its_report():
    book = responding("openai").upstream(transcript_done("Hi."), response_done())
    book.expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)


# Texts without an id, and texts that come unasked.

UNNAMED = {"type": "response.output_text.done", "text": "Hi."}
ITS_ITEM = {
    "type": "conversation.item.done",
    "item": {"id": "i", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
}


def test_a_text_without_an_id_and_its_item_are_sent_once_although_the_text_ended_the_turn():
    book = asked().upstream(UNNAMED).expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
    book.upstream(ITS_ITEM).expect()
    named = {"type": "response.output_audio_transcript.done", "item_id": "i", "transcript": "Hi."}
    book.upstream(named).expect()


def test_the_same_text_of_a_later_answer_is_sent_again():
    book = asked().upstream(UNNAMED, ITS_ITEM).forget()
    book.client({"type": "InjectUserMessage", "content": "again"})
    acknowledge_last(book).forget().upstream(UNNAMED).expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
    book.upstream({**ITS_ITEM, "item": {**ITS_ITEM["item"], "id": "j"}}).expect()


@pytest.mark.parametrize("event", [UNNAMED, text_done("Hi."), {**UNNAMED, "item_id": "i"}])
def test_a_text_that_comes_unasked_ends_its_turn(event):
    book = Playbook("openai").ready().upstream(event).expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
    book.upstream(event if "item_id" in event else ITS_ITEM).expect()


def test_a_text_that_came_unasked_is_sent_once_although_it_comes_again_in_another_unannounced_response():
    text = transcript_done("Hi.", "i")
    book = Playbook("openai").ready().upstream(text).expect(STARTED, assistant("Hi."), AUDIO_DONE, DONE)
    book.upstream({**delta(b"\1\1"), "response_id": "resp_2"}).forget()
    book.upstream(text).expect()
    assert book.session.state.turn.response is ResponseState.ACTIVE


def test_a_late_text_of_an_ended_response_ends_no_second_turn():
    book = answering().upstream(response_done()).forget().upstream(text_done("Hi."))
    assert AUDIO_DONE not in book.frames_to_client


# Many items.

MANY = MAX_PARTS + 10


def begun(book, count):
    """Begin the texts of many items, and end none."""
    return book.upstream(*(transcript_delta(f"Text {at} goes on", f"item_{at}") for at in range(count)))


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_of_too_many_unfinished_texts_the_oldest_end_early_and_the_client_is_told_once(profile):
    book = begun(answering(profile), MANY)
    texts = [frame["content"] for frame in book.frames_to_client if frame["type"] == "ConversationText"]
    warnings = [frame["code"] for frame in book.frames_to_client if frame["type"] == "Warning"]
    assert texts == [f"Text {at} goes on" for at in range(len(texts))]
    assert len(texts) in (MANY - MAX_PARTS, MANY - MAX_PARTS + 1)
    assert warnings == ["RESPONSE_INCOMPLETE"]
    assert book.session.describe()["over_bounds"] == len(texts)
    book.forget().upstream(transcript_done("Text 0 goes on to its end.", "item_0")).expect()


def test_the_finished_texts_of_an_answer_are_not_counted():
    book = answering("converse")
    for at in range(2 * MANY):
        book.upstream(text_done(f"Text {at}.", f"text_{at}"))
    texts = [frame["content"] for frame in book.frames_to_client if frame["type"] == "ConversationText"]
    assert texts == [f"Text {at}." for at in range(2 * MANY)]
    assert book.session.describe()["over_bounds"] == 0
    book.forget().upstream(text_done("Text 70.", "text_70")).expect()


def test_an_answer_that_is_too_long_ends_early_and_the_client_is_told_once():
    book, words = answering("openai"), "word " * 100_000
    for _ in range(MAX_CHARS // len(words) + 3):
        book.upstream(text_delta(words))
    kept = len(book.session.state.turn.answer.newest.transcript)
    assert MAX_CHARS <= kept < MAX_CHARS + len(words)
    assert [frame["code"] for frame in book.frames_to_client if frame["type"] == "Warning"] == ["RESPONSE_INCOMPLETE"]
    book.forget().upstream(text_done(words), response_done())
    said = "".join(frame["content"] for frame in book.frames_to_client if frame["type"] == "ConversationText")
    assert len(said) > 0.99 * MAX_CHARS
    assert [frame["type"] for frame in book.frames_to_client][-2:] == ["AgentAudioDone", "AgentDone"]


def of_item(number, text):
    return {**text_delta(text), "item_id": f"item_{number}"}


def test_an_answer_that_fills_its_bound_with_pieces_is_complete_when_its_texts_come_as_wholes():
    book, words = answering("openai"), "word " * (MAX_CHARS // 10 + 1)
    book.upstream(of_item(1, words), of_item(2, words)).forget()
    book.upstream(text_done(words, "item_1"), text_done(words, "item_2"), response_done())
    assert [frame["code"] for frame in book.frames_to_client if frame["type"] == "Warning"] == []
    assert book.session.describe()["over_bounds"] == 0


def test_a_text_that_comes_in_pieces_and_as_a_whole_counts_once():
    book, words = answering("openai"), "word " * (MAX_CHARS // 25)
    for number in range(1, 5):
        book.upstream(of_item(number, words), text_done(words + "end.", f"item_{number}"))
        assert book.session.state.turn.answer.received_chars == number * len(words + "end.")
    assert book.session.describe()["over_bounds"] == 0


def test_a_text_whose_whole_is_shorter_than_its_pieces_counts_with_its_pieces():
    book = answering("openai").upstream(of_item(1, "one two three"), text_done("one", "item_1"))
    assert book.session.state.turn.answer.received_chars == len("one two three")


OUTSIDE = {"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"]}}


def test_the_client_is_told_of_each_answer_outside_the_conversation_that_is_too_long():
    book, words = answering("openai").upstream(response_done()), "word " * 100_000
    for response_id in ("outside_1", "outside_2"):
        book.forget().client(OUTSIDE).upstream(outside(response_id))
        for _ in range(MAX_CHARS // len(words) + 3):
            book.upstream({**text_delta(words), "response_id": response_id, "item_id": f"item_{response_id}"})
        warnings = [frame["code"] for frame in book.frames_to_client if frame["type"] == "Warning"]
        assert warnings == ["RESPONSE_INCOMPLETE"], response_id
        book.upstream(response_done(response_id))


@pytest.mark.parametrize(("count", "chars"), [(MAX_WITHHELD + 1, 5), (1, MAX_WITHHELD_CHARS + 1)])
def test_the_client_is_told_of_withheld_texts_that_were_too_many_or_too_long(count, chars):
    context = answering("openai").session.context
    sent = SentRequest(ResponseRequest(), "event")
    for at in range(count):
        sent.withhold(f"withheld_{at}", "x" * chars)
    deliver_withheld(context, sent)
    frames = [orjson.loads(it.frame) for it in context.take_commands() if isinstance(it, SendToClient)]
    texts = [frame["content"] for frame in frames if frame["type"] == "ConversationText"]
    assert "".join(texts) == "x" * min(count, MAX_WITHHELD) * min(chars, MAX_WITHHELD_CHARS)
    assert [frame["code"] for frame in frames if frame["type"] == "Warning"] == ["RESPONSE_INCOMPLETE"]
    assert context.state.over_bounds == 1
