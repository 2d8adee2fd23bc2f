"""The end of a response as a whole."""

import orjson
import pytest

from router.fronts.realtime.responses import MAX_CHARS, MAX_PARTS, SHORT_CHARS, Request, Response
from router.fronts.realtime.wire import new_event, read_upstream

ITEM = {"id": "i", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
CALL = {"id": "c", "type": "function_call", "status": "in_progress", "name": "f", "call_id": "call_1", "arguments": ""}
PLACE = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}


@pytest.fixture
def response():
    return Response({"id": "r", "status": "in_progress"}, None, is_outside=False)


def note(response, *events):
    for kind, fields in events:
        response.note(new_event(kind, **fields))


def message(response, kind="audio"):
    note(
        response,
        ("response.output_item.added", {"response_id": "r", "output_index": 0, "item": ITEM}),
        ("response.content_part.added", {**PLACE, "part": {"type": kind}}),
    )


def closed(response, status="incomplete"):
    return [event.fields for event in response.close(status, None)]


def test_a_response_without_output_ends_with_its_done_alone(response):
    assert [event["type"] for event in closed(response)] == ["response.done"]


def test_an_answer_in_the_middle_of_its_audio_ends_in_the_service_s_order(response):
    message(response)
    note(
        response,
        ("response.output_audio_transcript.delta", {**PLACE, "delta": "one two"}),
        ("response.output_audio.delta", {**PLACE, "delta": "A" * 6400}),
    )
    events = closed(response)
    assert [event["type"] for event in events] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert events[1]["transcript"] == "one two"
    assert events[4]["item"]["status"] == "incomplete"
    assert events[4]["item"]["content"] == [{"type": "output_audio", "transcript": "one two"}]
    assert events[5]["response"]["output"] == [events[4]["item"]]


def test_only_what_is_open_is_ended(response):
    message(response, "text")
    note(
        response,
        ("response.output_text.delta", {**PLACE, "delta": "one"}),
        ("response.output_text.done", {**PLACE, "text": "one"}),
        ("response.content_part.done", {**PLACE, "part": {"type": "text", "text": "one"}}),
    )
    events = closed(response)
    assert [event["type"] for event in events] == [
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert events[1]["item"]["status"] == "completed"


def test_a_whole_call_stands_and_half_of_one_does_not(response):
    place = {"response_id": "r", "item_id": "c", "output_index": 0, "call_id": "call_1"}
    note(
        response,
        ("response.output_item.added", {"response_id": "r", "output_index": 0, "item": CALL}),
        ("response.function_call_arguments.delta", {**place, "delta": '{"a"'}),
    )
    assert not response.calls_functions
    assert response.outputs["c"].end()["status"] == "incomplete"
    note(response, ("response.function_call_arguments.done", {**place, "arguments": '{"a":1}'}))
    assert response.calls_functions
    item = closed(response)[-2]["item"]
    assert (item["status"], item["arguments"], item["call_id"]) == ("completed", '{"a":1}', "call_1")


def test_an_answer_is_whole_unless_it_announces_more(response):
    message(response)
    assert not response.is_whole
    done = {**ITEM, "status": "completed"}
    note(response, ("response.output_item.done", {"response_id": "r", "output_index": 0, "item": done}))
    assert response.is_whole
    response.outputs["i"].item = {**done, "phase": "commentary"}
    assert not response.is_whole


def test_the_heard_words_of_spoken_output_are_those_of_its_audio(response):
    message(response)
    note(response, ("response.output_audio_transcript.delta", {**PLACE, "delta": "one two three four"}))
    output = response.outputs["i"]
    assert output.heard(48) == ""
    note(response, ("response.output_audio.delta", {**PLACE, "delta": "A" * (64 * 550)}))
    assert output.heard(48) == "one two"


def test_output_without_an_announced_item_is_an_answer(response):
    note(response, ("response.output_text.delta", {**PLACE, "delta": "one"}))
    assert response.has_output
    assert closed(response)[-2]["item"]["id"] == "i"


def test_a_response_outside_the_conversation_ends_no_item_of_it():
    response = Response({"id": "r"}, Request({"conversation": "none"}, event_id="e"), is_outside=True)
    message(response, "text")
    assert "conversation.item.done" not in [event["type"] for event in closed(response)]


def test_a_request_has_its_metadata():
    assert Request({"metadata": {"a": "b"}}, event_id="e").metadata == {"a": "b"}
    assert Request({"metadata": None}, event_id="e").metadata is None
    assert Request({"conversation": "none"}, event_id="e").is_outside


def item_done(response, size_chars, **item):
    """Note the end of an item, in an event of at least this size."""
    event = {"type": "response.output_item.done", "response_id": "r", "output_index": 0, "item": item}
    response.note(read_upstream(orjson.dumps({**event, "filler": "x" * size_chars}).decode()))


DONE = {**ITEM, "status": "completed", "content": [{"type": "output_text", "text": "one"}]}
DONE_CALL = {**CALL, "status": "completed", "arguments": '{"a":1}'}


@pytest.mark.parametrize("size_chars", [0, SHORT_CHARS, MAX_CHARS // 2])
def test_an_item_within_the_bound_is_kept_whole(response, size_chars):
    item_done(response, size_chars, **DONE)
    assert closed(response)[-1]["response"]["output"] == [DONE]
    assert not response.has_excess


def test_a_short_item_is_kept_whole_after_a_long_one(response):
    item_done(response, MAX_CHARS, **DONE_CALL)
    item_done(response, 0, **DONE)
    assert response.has_excess
    assert closed(response)[-1]["response"]["output"][1] == DONE


def test_a_message_that_is_too_long_is_kept_with_the_words_of_its_pieces(response):
    message(response, "text")
    note(response, ("response.output_text.delta", {**PLACE, "delta": "one"}))
    item_done(response, MAX_CHARS, **DONE, phase="final", more="x")
    assert (response.has_excess, response.is_whole) == (True, True)
    assert [event["type"] for event in closed(response)] == ["response.done"]
    assert closed(response)[0]["response"]["output"] == [{**DONE, "phase": "final"}]


def test_a_call_that_is_too_long_is_kept_with_the_arguments_of_its_pieces(response):
    place = {"response_id": "r", "item_id": "c", "output_index": 0}
    note(
        response,
        ("response.output_item.added", {"response_id": "r", "output_index": 0, "item": CALL}),
        ("response.function_call_arguments.delta", {**place, "delta": '{"a":1}'}),
    )
    item_done(response, MAX_CHARS, **DONE_CALL)
    assert response.calls_functions
    assert closed(response)[0]["response"]["output"] == [DONE_CALL]


def test_a_message_that_is_too_long_and_comes_at_once_has_no_content(response):
    item_done(response, MAX_CHARS, **DONE)
    assert closed(response)[0]["response"]["output"] == [{**DONE, "content": []}]


@pytest.mark.parametrize("status", ["incomplete", "failed"])
def test_an_item_that_is_too_long_keeps_its_status(response, status):
    item_done(response, MAX_CHARS, **{**DONE, "status": status})
    assert not response.is_whole
    assert closed(response)[0]["response"]["output"][0]["status"] == status


def test_a_field_that_is_too_long_is_not_kept(response):
    item_done(response, MAX_CHARS, **DONE_CALL, object="x" * 600)
    assert "object" not in closed(response)[0]["response"]["output"][0]


def test_a_text_that_comes_in_pieces_and_as_a_whole_counts_once(response):
    words = "word " * (MAX_CHARS // 10)
    note(
        response,
        ("response.output_text.delta", {**PLACE, "delta": words}),
        ("response.output_text.done", {**PLACE, "text": words + "end"}),
    )
    item = {**DONE, "content": [{"type": "output_text", "text": words + "end"}]}
    item_done(response, 0, **item)
    assert len(words) < response.kept_chars < len(words) + 500
    assert closed(response)[-1]["response"]["output"] == [item]
    assert not response.has_excess


def test_arguments_that_come_in_pieces_and_as_a_whole_count_once(response):
    place, arguments = {"response_id": "r", "item_id": "c", "output_index": 0}, "1" * (MAX_CHARS // 2)
    note(
        response,
        ("response.output_item.added", {"response_id": "r", "output_index": 0, "item": CALL}),
        ("response.function_call_arguments.delta", {**place, "delta": arguments}),
        ("response.function_call_arguments.done", {**place, "arguments": arguments}),
    )
    assert response.kept_chars == len(arguments)
    item_done(response, 0, **{**DONE_CALL, "arguments": arguments})
    assert response.kept_chars < len(arguments) + 500
    assert not response.has_excess


def test_a_whole_text_of_a_full_response_is_no_excess(response):
    note(
        response,
        ("response.output_text.delta", {**PLACE, "delta": "x" * MAX_CHARS}),
        ("response.output_text.done", {**PLACE, "text": "x" * MAX_CHARS}),
    )
    assert not response.has_excess
    note(response, ("response.output_text.delta", {**PLACE, "content_index": 1, "delta": "x"}))
    assert response.has_excess


def test_a_whole_text_that_is_shorter_than_its_pieces_replaces_them(response):
    note(
        response,
        ("response.output_text.delta", {**PLACE, "delta": "one two"}),
        ("response.output_text.done", {**PLACE, "text": "one"}),
    )
    assert response.outputs["i"].text == "one"
    assert response.kept_chars == len("one two")


@pytest.mark.parametrize("kind", ["response.output_text.delta", "response.output_audio.delta"])
def test_a_part_too_many_is_an_excess(response, kind):
    for index in range(MAX_PARTS):
        note(response, (kind, {**PLACE, "content_index": index, "delta": "AAAA"}))
    assert not response.has_excess
    note(response, (kind, {**PLACE, "content_index": MAX_PARTS, "delta": "AAAA"}))
    assert response.has_excess
    assert len(response.outputs["i"].parts) == MAX_PARTS
