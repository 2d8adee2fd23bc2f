"""The conversation: items created, placed, retrieved, truncated and deleted."""

import base64

import pytest

ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}


def kinds(events):
    return [event["type"] for event in events]


def create(machine, item=None, **event):
    return machine.send("conversation.item.create", item={**ITEM, **(item or {})}, **event)


def refused(events):
    assert kinds(events) == ["error"]
    error = events[0]["error"]
    return error["code"], error["param"]


def test_an_item_is_acknowledged_by_added_and_done_in_full(machine):
    added, done = create(machine, {"id": "mine"})

    assert kinds((added, done)) == ["conversation.item.added", "conversation.item.done"]
    assert added["item"] == done["item"] == {"id": "mine", "status": "completed", **ITEM}
    assert added["previous_item_id"] is None


def test_items_are_placed_by_previous_item_id(machine):
    create(machine, {"id": "a"})
    after_a = create(machine, {"id": "b"})
    first = create(machine, {"id": "root"}, previous_item_id="root")
    between = create(machine, {"id": "between"}, previous_item_id="a")
    last = create(machine, {"id": "last"})

    placed = [events[0]["previous_item_id"] for events in (after_a, first, between, last)]
    assert placed == ["a", None, "a", "b"]


def test_an_unknown_previous_item_is_an_error_and_adds_nothing(machine):
    events = create(machine, {"id": "a"}, previous_item_id="nowhere")

    assert refused(events) == ("item_create_invalid_previous_item_id", "previous_item_id")
    assert refused(machine.send("conversation.item.retrieve", item_id="a"))[0] == "item_retrieve_invalid_item_id"


def test_an_id_cannot_be_used_twice(machine):
    create(machine, {"id": "a"})

    assert refused(create(machine, {"id": "a"})) == ("invalid_value", "item.id")


WRONG_ITEMS = [
    ({"id": "x" * 33}, "string_above_max_length", "item.id"),
    ({"role": "bot"}, "invalid_value", "item.role"),
    ({"role": "assistant"}, "invalid_value", "item.content[0].type"),
    (
        {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
        "invalid_value",
        "item.content[0].type",
    ),
    (
        {"role": "assistant", "content": [{"type": "output_audio", "audio": ""}]},
        "invalid_value",
        "item.content[0].type",
    ),
    ({"content": [{"type": "input_text"}]}, "missing_required_parameter", "item.content[0].text"),
    ({"content": [{"type": "input_text", "text": "x" * 256_001}]}, "string_above_max_length", "item.content[0].text"),
    ({"content": [{"type": "input_audio", "audio": "%%%"}]}, "invalid_value", "item.content[0].audio"),
    ({"content": "x"}, "invalid_type", "item.content"),
    ({"extra": 1}, "unknown_parameter", "item.extra"),
    ({"type": "mcp_call"}, "invalid_value", "item.type"),
]


@pytest.mark.parametrize(("item", "code", "param"), WRONG_ITEMS)
def test_a_wrong_item_is_refused(machine, item, code, param):
    assert refused(create(machine, item)) == (code, param)


def test_the_refusal_of_a_content_type_names_the_right_one(machine):
    events = create(machine, {"role": "assistant", "content": [{"type": "text", "text": "x"}]})

    assert events[0]["error"]["message"] == "Invalid value: 'text'. Supported values are: 'output_text'."


def test_call_ids_have_at_most_32_characters(machine):
    item = {"type": "function_call_output", "call_id": "c" * 33, "output": "x"}

    assert refused(machine.send("conversation.item.create", item=item)) == ("string_above_max_length", "item.call_id")


def test_a_function_output_is_echoed_without_status(machine):
    item = {"type": "function_call_output", "call_id": "c", "output": "x", "status": "completed"}
    added, _done = machine.send("conversation.item.create", item=item)

    assert set(added["item"]) == {"id", "type", "call_id", "output"}


def test_every_kind_of_client_item_is_taken(machine, sound):
    audio = base64.b64encode(sound.tone(200)).decode()
    for item in (
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio, "transcript": "hi"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"type": "mcp_approval_response", "approval_request_id": "r", "approve": True},
    ):
        events = machine.send("conversation.item.create", item=item)
        assert kinds(events) == ["conversation.item.added", "conversation.item.done"], item


def test_audio_is_omitted_from_echoes_and_comes_with_retrieve(machine, sound):
    audio = base64.b64encode(sound.tone(200)).decode()
    content = [{"type": "input_audio", "audio": audio}]
    added, _done = create(machine, {"id": "a", "content": content})
    (retrieved,) = machine.send("conversation.item.retrieve", item_id="a")

    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert retrieved["item"]["content"] == [{"type": "input_audio", "transcript": None, "audio": audio}]


def test_retrieved_assistant_audio_is_what_was_streamed(machine):
    events = machine.ask("Hello")
    streamed = b"".join(
        base64.b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta"
    )
    (retrieved,) = machine.send("conversation.item.retrieve", item_id=machine.open_output())

    assert base64.b64decode(retrieved["item"]["content"][0]["audio"]) == streamed


def test_a_deleted_item_is_gone_and_forgotten(machine):
    create(machine, {"id": "a", "content": [{"type": "input_text", "text": "My name is Ann."}]})
    (deleted,) = machine.send("conversation.item.delete", item_id="a")
    again = machine.send("conversation.item.delete", item_id="a")
    machine.ask("What is my name?")

    assert (deleted["type"], deleted["item_id"]) == ("conversation.item.deleted", "a")
    assert refused(again) == ("item_delete_invalid_item_id", "item_id")
    assert "Ann" not in machine.answer


# Truncation.


def truncate(machine, item_id, audio_end_ms, content_index=0):
    return machine.send(
        "conversation.item.truncate", item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms
    )


def test_truncation_cuts_audio_and_forgets_the_transcript(machine):
    machine.ask("Say something")
    item_id = machine.open_output()
    (truncated,) = truncate(machine, item_id, 100)
    (retrieved,) = machine.send("conversation.item.retrieve", item_id=item_id)
    (part,) = retrieved["item"]["content"]

    assert truncated == {
        "type": "conversation.item.truncated",
        "event_id": truncated["event_id"],
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": 100,
    }
    assert len(base64.b64decode(part["audio"])) == 4800
    assert part["transcript"] == ""


def test_truncation_beyond_the_audio_is_refused(machine):
    machine.ask("Hello")
    events = truncate(machine, machine.open_output(), 999_999)

    assert refused(events) == ("invalid_value", "audio_end_ms")
    assert "is already shorter than 999999ms" in events[0]["error"]["message"]


def test_truncating_twice_is_refused(machine):
    machine.ask("Hello")
    truncate(machine, machine.open_output(), 100)

    assert refused(truncate(machine, machine.open_output(), 50)) == ("item_already_truncated", "item_id")


def test_truncating_an_item_without_assistant_audio_is_refused(machine):
    create(machine, {"id": "mine"})
    machine.ask("Hello", output_modalities=["text"])

    assert refused(truncate(machine, "mine", 0))[0] == "invalid_value"
    assert refused(truncate(machine, machine.open_output(), 0))[0] == "invalid_value"
    assert refused(truncate(machine, "nowhere", 0)) == ("item_truncate_invalid_item_id", "item_id")


def test_truncation_needs_all_its_fields(machine):
    events = machine.send("conversation.item.truncate", item_id="x")

    assert refused(events) == ("missing_required_parameter", "content_index")
