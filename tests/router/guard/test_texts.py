"""The frames of both sides, and the texts in them."""

import json

import pytest

from actors import messages
from router.guard.texts import (
    MAX_LEVELS,
    MAX_REWRITTEN_CHARS,
    WITHHELD,
    decoded,
    event_id_of,
    is_of_agent,
    said,
    said_by_client,
    with_text,
    withheld,
)
from router.json_bounds import MAX_WIDE_CHARS

OUTPUT = {"type": "function_call_output", "output": "1"}


def client(**fields):
    return messages.ClientTextReceived(json.dumps(fields))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (client(type="InjectUserMessage", content="One."), ("user", "One.")),
        (client(type="FunctionCallResponse", content="One.", error="Two."), ("function", "One.\nTwo.")),
        (client(type="FunctionCallResponse", result=[1, "One."]), ("function", '[1,"One."]')),
        (client(type="response.create", response={"instructions": "One."}), ("user", "One.")),
        (
            client(type="conversation.item.create", item={"type": "function_call_output", "output": "1"}),
            ("function", "1"),
        ),
        (client(type="KeepAlive"), (None, "")),
        (client(type=["InjectUserMessage"]), (None, "")),
        (messages.ClientTextReceived("[1"), (None, "")),
        (messages.WorkDone("tool:1", "One."), ("function", "One.")),
        (messages.TimerFired("x"), (None, "")),
    ],
)
def test_each_message_has_its_side_and_its_texts(message, found):
    assert said(message) == found


def test_an_output_is_replaced_whole():
    answer = client(type="FunctionCallResponse", id="1", content={"a": 1}, error="Two.")
    kept = json.loads(withheld(answer, "function").text)
    assert kept == {"type": "FunctionCallResponse", "id": "1", "content": WITHHELD}
    assert withheld(client(type="InjectUserMessage", content="One."), "user") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "FunctionCallResponse", "content": "One."},
        {"type": "conversation.item.create", "item": OUTPUT},
        {"type": "InjectUserMessage", "content": "One."},
    ],
)
def test_a_message_that_cannot_be_written_again_has_no_other_text(fields):
    levels = 300
    text = json.dumps(fields)[:-1] + ', "more": ' + "[" * levels + "]" * levels + "}"
    assert with_text(messages.ClientTextReceived(text), "Two.") is None


def test_a_message_of_several_texts_has_no_other_text():
    parts = [{"type": "input_text", "text": text} for text in ("One.", "Two.")]
    several = client(type="conversation.item.create", item={"type": "message", "content": parts})
    assert with_text(several, "Three.") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "x", "item": {"type": "message", "content": [{"type": "input_text", "text": "Bad."}]}},
        {"item": {"type": "message", "output": "x", "content": [{"type": "input_text", "text": "Bad."}]}},
        {"item": {"type": "message", "content": [{"type": "input_audio", "text": "x", "transcript": "Bad."}]}},
        {"text": "Bad.", "item": {"type": "message", "content": [{"type": "input_text", "text": "x"}]}},
    ],
)
def test_a_text_that_replaces_others_leaves_none_of_them(fields):
    assert with_text(client(type="conversation.item.create", **fields), "Good.") is None


def test_a_blocked_output_beside_another_text_is_replaced_by_an_output_alone():
    item = {**OUTPUT, "id": "item_1", "call_id": "call_1", "output": "Bad.", "content": "Bad."}
    message = client(type="conversation.item.create", event_id="e1", previous_item_id="root", content="x", item=item)
    assert json.loads(withheld(message, "function").text) == {
        "type": "conversation.item.create",
        "event_id": "e1",
        "previous_item_id": "root",
        "item": {"type": "function_call_output", "id": "item_1", "call_id": "call_1", "output": WITHHELD},
    }


def test_audio_is_the_agent_s():
    assert is_of_agent(decoded(b"\0"))
    assert not is_of_agent(decoded('{"type":"Welcome"}'))


def test_a_text_of_many_levels_and_objects_is_found_in_order():
    deep = {"content": "Two."}
    for _ in range(MAX_LEVELS - 3):
        deep = {"x": [], "y": deep}
    parts = [{"text": "One."}, {}, [], deep, {"text": "Three."}]
    assert said(client(type="conversation.item.create", item={"content": parts})) == ("user", "One.\nTwo.\nThree.")


@pytest.mark.parametrize("text", ['{"event_id":"e1"}', '{"event_id":5}', "[1]", "no JSON", '{"a":' + "[" * 5000])
def test_the_id_of_an_event_is_read_from_any_text(text):
    assert event_id_of(text) == ("e1" if "e1" in text else None)


@pytest.mark.parametrize(
    ("rest", "is_said"),
    [
        ('"type" : "conversation.item.create"}', True),
        ('"a":{"type":"x"},"type":"response.create"}', True),
        ('"type":"input_audio_buffer.append"}', False),
        ('"a":"conversation.item.create","type":"x"}', False),
        ('"type":"\\u0063onversation.item.create"}', True),
        ('"type":"x","a":"\u20ac"}', False),
        ('"a":[' + ",".join(["[]"] * 6000) + "]}", True),
    ],
)
def test_a_long_message_is_searched_for_its_type(rest, is_said):
    assert said_by_client('{"audio":"' + "A" * MAX_WIDE_CHARS + '",' + rest) is is_said


def test_the_words_beside_a_long_image_are_read():
    parts = [{"type": "input_text", "text": "\u20ac?"}, {"type": "input_image", "image_url": "A" * MAX_WIDE_CHARS}]
    message = client(type="conversation.item.create", item={"role": "user", "content": parts})
    assert said_by_client(message.text)
    assert said(message) == ("user", "\u20ac?")


def test_a_long_message_gets_no_other_text():
    message = client(type="InjectUserMessage", content="x" * MAX_REWRITTEN_CHARS)
    assert with_text(message, "One.") is None
