"""Events as they are on the wire."""

import json

import pytest

from router.fronts.realtime.wire import (
    MalformedError,
    OpaqueEvent,
    RefusedError,
    new_event,
    read_client,
    read_upstream,
)
from router.json_bounds import MAX_RECOUNT_CHARS, MAX_WIDE_CHARS


def test_an_event_passes_to_the_letter_unless_a_field_is_set():
    text = '{ "type": "future.event",  "more": [1, 2.50] }'
    event = read_client(text)
    assert event.frame == text
    event.set("event_id", "e1")
    assert json.loads(event.frame) == {"type": "future.event", "more": [1, 2.5], "event_id": "e1"}


@pytest.mark.parametrize(
    ("text", "code", "event_id"),
    [
        ("{", "invalid_json", None),
        ("[1]", "invalid_event", None),
        ('{"event_id":"e1"}', "missing_required_parameter", "e1"),
        ('{"type":1}', "invalid_type", None),
        ('{"type":"x","event_id":"' + "e" * 513 + '"}', "invalid_value", None),
        ("[" * 300 + "]" * 300, "invalid_event", None),
    ],
)
def test_a_frame_of_the_client_that_is_no_event_is_refused_as_openai_does(text, code, event_id):
    with pytest.raises(RefusedError) as refused:
        read_client(text)
    assert refused.value.error["type"] == "invalid_request_error"
    assert (refused.value.error["code"], refused.value.error["event_id"]) == (code, event_id)


@pytest.mark.parametrize("text", ["{", "[]", '{"no":"type"}'])
def test_a_frame_of_the_upstream_that_is_no_event_is_malformed(text):
    with pytest.raises(MalformedError):
        read_upstream(text)


def test_an_event_of_the_upstream_that_is_too_costly_to_read_passes_unread():
    text = "[" * 300 + "]" * 300
    event = read_upstream(text)
    event.set("event_id", "e")
    assert (event.kind, event.frame) == ("", text)


@pytest.mark.parametrize("is_changed", [True, False])
def test_the_data_of_an_event_is_its_frame(is_changed):
    event = read_client('{"type": "x", "text": "\u20ac"}')
    event.is_changed = is_changed
    assert json.loads(event.data) == json.loads(event.frame)


def test_a_name_of_the_beta_api_is_understood_and_passes():
    event = read_upstream('{"type":"response.audio.delta"}')
    assert event.kind == "response.output_audio.delta"
    assert event.frame == '{"type":"response.audio.delta"}'


def test_half_of_a_character_is_replaced():
    assert read_upstream('{"type":"x","delta":"\\ud83d"}').fields["delta"] in ("?", "\ufffd")


def test_a_field_of_another_type_counts_as_absent():
    event = new_event("x", item=1, item_id=2)
    assert (event.child("item"), event.string("item_id")) == ({}, None)


def test_a_long_event_with_too_many_levels_is_refused_too():
    text = (
        json.dumps({"type": "x", "text": "x" * MAX_RECOUNT_CHARS}).rstrip("}")
        + ',"deep":'
        + "[" * 300
        + "]" * 300
        + "}"
    )
    with pytest.raises(RefusedError) as refused:
        read_client(text)
    assert refused.value.code == "invalid_event"
    assert isinstance(read_upstream(text), OpaqueEvent)


@pytest.mark.parametrize("is_escaped", [True, False])
def test_an_image_may_have_words_beside_it(is_escaped):
    parts = [{"type": "input_text", "text": "5 \u20ac?"}, {"type": "input_image", "image_url": "A" * 6_000_000}]
    fields = {"type": "conversation.item.create", "item": {"content": parts}}
    assert read_client(json.dumps(fields, ensure_ascii=is_escaped)).fields == fields


def test_half_of_a_character_in_a_long_event_passes_unread():
    text = '{"type":"x","delta":"\\ud83d","audio":"' + "A" * MAX_WIDE_CHARS + '"}'
    assert isinstance(read_upstream(text), OpaqueEvent)


@pytest.mark.parametrize("rest", ["bad}", '"n":NaN}'])
def test_half_of_a_character_in_a_broken_event_is_malformed(rest):
    with pytest.raises(MalformedError):
        read_upstream('{"type":"x","delta":"\\ud83d",' + rest)
