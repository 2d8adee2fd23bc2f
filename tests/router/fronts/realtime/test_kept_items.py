"""The client's conversation, for another upstream."""

import pybase64
import pytest

from router.fronts.realtime.kept_items import MAX_ITEMS, Conversation, joined, shortened


def user(name, text):
    return {"id": name, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def spoken(name, transcript=None):
    content = [{"type": "input_audio", "transcript": transcript}]
    return {"id": name, "type": "message", "role": "user", "content": content}


def assistant(name, words):
    content = [{"type": "output_audio", "transcript": words}]
    return {"id": name, "type": "message", "role": "assistant", "content": content}


def call(name, call_id, status="completed"):
    fields = {"name": "get_weather", "arguments": "{}", "call_id": call_id}
    return {"id": name, "type": "function_call", "status": status, **fields}


def output(name, call_id):
    return {"id": name, "type": "function_call_output", "call_id": call_id, "output": "Sunny."}


@pytest.fixture
def items():
    return Conversation(max_tokens=10_000, max_bytes=100_000)


def again(items):
    return [wire for _, wire in items.again()]


def put(items, *wires):
    return [items.put(wire, 1, items.last_id) for wire in wires]


def test_items_are_created_again_with_their_own_ids(items):
    put(items, user("a", "one?"), assistant("b", "One."), call("c", "call_1"), output("d", "call_1"))
    assert [wire["id"] for wire in again(items)] == ["a", "b", "c", "d"]
    assert again(items)[1]["content"] == [{"type": "output_text", "text": "One."}]
    assert again(items)[2] == {
        "id": "c",
        "type": "function_call",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": "{}",
    }


def test_speech_is_created_again_as_its_transcript_or_else_as_audio(items):
    first, second = put(items, spoken("a"), spoken("b"))
    chunk = pybase64.b64encode_as_string(b"\1\2\3\4")
    items.keep_audio(first, [chunk], 48)
    items.keep_audio(second, [chunk, chunk], 48)
    items.transcribe("a", 0, "hello")
    assert [wire["content"] for wire in again(items)] == [
        [{"type": "input_text", "text": "hello"}],
        [{"type": "input_audio", "audio": pybase64.b64encode_as_string(b"\1\2\3\4\1\2\3\4")}],
    ]
    assert first.audio == []


def test_speech_without_audio_and_half_a_call_and_an_output_without_its_call_are_left_out(items):
    put(items, spoken("a"), call("b", "call_1", "incomplete"), output("c", "call_2"), assistant("d", ""))
    put(items, {"id": "e", "type": "mcp_call"})
    assert again(items) == []


def test_an_output_whose_call_id_is_no_text_is_left_out(items):
    put(items, call("a", "call_1"), output("b", ["call_1"]), user("c", "one?"))
    assert [wire["id"] for wire in again(items)] == ["a", "c"]


def test_an_acknowledgement_does_not_take_the_audio_of_a_client_s_own_item(items):
    content = [{"type": "input_audio", "audio": "AAAA"}]
    (item,) = put(items, {"id": "a", "type": "message", "role": "user", "content": content})
    items.fill(item, spoken("a"))
    assert again(items)[0]["content"] == content


def test_a_truncated_answer_counts_as_far_as_it_was_heard(items):
    (item,) = put(items, assistant("a", "one two three four five six seven"))
    items.truncate(item, 1000)
    assert again(items)[0]["content"][0]["text"] == "one two three"
    items.truncate(item, 0)
    assert again(items) == []
    assert item.transcript() == "one two three four five six seven"


def test_an_item_goes_behind_the_one_that_it_names(items):
    put(items, user("a", "1"), user("c", "3"))
    items.put(user("b", "2"), 1, "a")
    items.put(user("first", "0"), 1, "root")
    assert [wire["id"] for wire in again(items)] == ["first", "a", "b", "c"]


def test_a_place_is_named_by_an_item_that_the_upstream_has(items):
    put(items, user("a", "1"), assistant("b", ""), assistant("c", ""))
    again(items)
    assert [items.place_for(name) for name in ("a", "b", "c", "unknown")] == ["a", "a", "a", "unknown"]
    items.remove("a")
    assert items.place_for("c") == "root"


def test_beyond_the_bounds_the_oldest_items_lose_their_content_and_keep_their_ids():
    items = Conversation(max_tokens=100, max_bytes=100_000)
    put(items, *(user(f"i{at}", "x" * 200) for at in range(5)))
    kept = [wire["id"] for wire in again(items)]
    assert kept in (["i4"], ["i3", "i4"])
    assert items.dropped == 5 - len(kept)
    assert items.find("i0").transcript() == "x" * 200


def test_the_number_of_items_is_bounded():
    items = Conversation(max_tokens=10_000_000, max_bytes=10_000_000)
    put(items, *(user(f"i{at}", "x") for at in range(MAX_ITEMS + 3)))
    assert len(items) == MAX_ITEMS
    assert items.find("i2") is None
    assert items.held_bytes == sum(item.weight.size_bytes for item in items)


def test_an_item_without_its_place_keeps_the_beginnings_of_its_texts():
    image = {"type": "input_image", "image_url": "data:" + "x" * 5000}
    long = {"type": "input_text", "text": "y" * 5000}
    wire = {"id": "a", "type": "message", "role": "user", "content": [image, long]}
    assert shortened(wire) == {**wire, "content": [{"type": "input_image"}, {"type": "input_text", "text": "y" * 1000}]}


def test_base64_that_the_upstream_refused_is_left_out():
    assert joined(["AAAA", "!", "AAAA"]) == "AAAAAAAA"


@pytest.mark.parametrize("index", [-7, 2_000_000_000])
def test_a_transcript_of_a_part_that_cannot_be_costs_no_memory(index):
    conversation = Conversation(max_tokens=1000, max_bytes=100_000)
    conversation.put({"id": "a", "type": "message", "role": "user"}, 1, None)
    conversation.transcribe("a", index, "one")
    assert len(conversation.find("a").wire["content"]) <= 16
    assert conversation.find("a").transcript() == "one"


def test_an_item_without_its_content_does_not_get_it_back():
    conversation = Conversation(max_tokens=1_000_000, max_bytes=5000)
    long = {"id": "a", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x" * 4000}]}
    conversation.put(long, 1, None)
    conversation.put({**long, "id": "b"}, 1, None)
    conversation.fill(conversation.find("a"), long)
    assert len(conversation.find("a").transcript()) == 1000


def test_an_item_that_names_itself_as_the_one_before_is_the_last():
    conversation = Conversation(max_tokens=1000, max_bytes=100_000)
    conversation.put(user("a", "One."), 1, None)
    conversation.put(user("b", "Two."), 1, "b")
    conversation.put(user("c", "Three."), 1, "a")
    assert [item.id for item in conversation] == ["a", "c", "b"]


def test_an_id_that_is_a_number_names_one_item():
    conversation = Conversation(max_tokens=1000, max_bytes=100_000)
    for _ in range(2):
        conversation.put({**user("", "One."), "id": 7}, 1, None)
    assert len(conversation) == 1
    conversation.remove("7")
    assert list(conversation) == []


def test_a_content_of_another_type_is_replaced():
    conversation = Conversation(max_tokens=1000, max_bytes=100_000)
    item = conversation.put({**user("a", "One."), "content": 5}, 1, None)
    conversation.fill(item, user("a", "Two."))
    assert item.transcript() == "Two."


@pytest.mark.parametrize(("given", "again"), [({}, []), ({"id": None}, ["None"]), ({"id": 7}, ["7"])])
def test_a_call_goes_to_another_upstream_under_the_id_that_it_is_known_by(given, again):
    conversation = Conversation(max_tokens=1000, max_bytes=100_000)
    item = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}", **given}
    conversation.put(item, 1, None)
    assert [wire["id"] for _, wire in conversation.again()] == again
