"""The next upstream gets what the client knows: no refused item, no item twice, and no half of a call."""

import base64

import pytest

from tests.support.machine.playbook import error
from tests.support.machine.timed_playbook import TimedPlaybook, created, started

TURNS = 5
PIXELS = base64.b64encode(bytes(150_000)).decode()
SECONDS = base64.b64encode(bytes(144_000)).decode()
PARTS = {
    "an image of 150 kB": {"type": "input_image", "image_url": f"data:image/jpeg;base64,{PIXELS}"},
    "3 s of speech": {"type": "input_audio", "audio": SECONDS},
}


def conversation(profile, **options):
    """Hold five turns."""
    book = TimedPlaybook(profile, **options).ready()
    for at in range(TURNS):
        book.types(f"Question {at}.").answers(f"Answer {at}.", response_id=f"resp_{at}", item_id=f"item_{at}")
    return book


TURNS_IN_WORDS = [f"{kind} {at}." for at in range(TURNS) for kind in ("Question", "Answer")]


def replayed(book, begin):
    """Return the texts that the next upstream gets; another part stands as its type."""
    parts = [part for item in book.items(since=begin) for part in item.get("content") or ()]
    return [part.get("text", part["type"]) for part in parts]


# 22: one item costs the rest of the conversation.


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_item_that_the_upstream_refuses_drives_nothing_out_and_reaches_no_other(profile):
    book = conversation(profile).types("x" * 260_000, acknowledged=False)
    event_id = book.sent("conversation.item.create")[-1]["event_id"]
    book.upstream(error("string_above_max_length", "too long", event_id=event_id, param="item.content[0].text"))
    begin = book.restarted_after()
    assert replayed(book, begin) == TURNS_IN_WORDS


def test_a_client_s_own_item_that_the_upstream_refuses_reaches_no_other():
    book = conversation("openai")
    content = [{"type": "input_text", "text": "x" * 260_000}]
    item = {"id": "mine", "type": "message", "role": "user", "content": content}
    book.client({"type": "conversation.item.create", "item": item})
    event_id = book.sent("conversation.item.create")[-1]["event_id"]
    book.upstream(error("string_above_max_length", "too long", event_id=event_id, param="item.content[0].text"))
    begin = book.restarted_after()
    assert replayed(book, begin) == TURNS_IN_WORDS


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_an_image_or_speech_of_a_client_s_own_item_drives_no_words_out(part):
    book = conversation("openai")
    item = {"id": "mine", "type": "message", "role": "user", "content": [part]}
    book.client({"type": "conversation.item.create", "item": item}).acknowledge()
    begin = book.restarted_after()
    assert replayed(book, begin)[: 2 * TURNS] == TURNS_IN_WORDS


@pytest.mark.parametrize("kind", ["message", "output"])
def test_a_text_that_is_longer_than_any_model_reads_is_not_all_that_is_left(kind):
    book = conversation("converse")
    if kind == "message":
        book.types("x" * 200_000).answers("I see.", response_id="resp_x", item_id="item_x")
    else:
        book.types("Read it.").begins("resp_x")
        call = {"call_id": "call_1", "name": "read", "arguments": "{}", "response_id": "resp_x"}
        book.upstream({"type": "response.function_call_arguments.done", **call}).ends("resp_x")
        book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "read", "content": "y" * 200_000})
        book.acknowledge().answers("I see.", response_id="resp_y", item_id="item_y")
    begin = book.restarted_after()
    assert "Answer 4." in replayed(book, begin)


# Suspected: servers that number their calls.


def numbered_call(book, at):
    """Call a function in a response of its own, with the call id `1`, and answer it."""
    book.types(f"Where is parcel {at}?").begins(f"resp_{at}")
    call = {"call_id": "1", "name": "lookup", "arguments": f'{{"parcel":{at}}}', "response_id": f"resp_{at}"}
    book.upstream({"type": "response.function_call_arguments.done", **call}).ends(f"resp_{at}")
    book.client({"type": "FunctionCallResponse", "id": "1", "name": "lookup", "content": f"in Berlin {at}"})
    return book.acknowledge().answers("In Berlin.", response_id=f"resp_{at}b", item_id=f"item_{at}b")


@pytest.mark.parametrize("ledger_tokens", [150, 180, 230, 300, 390])
def test_the_oldest_alone_is_forgotten_where_several_calls_have_one_id(ledger_tokens):
    book = TimedPlaybook("converse", ledger_tokens=ledger_tokens).ready()
    happened = []
    for at in range(4):
        numbered_call(book, at)
        happened += [f"Where is parcel {at}?", f'{{"parcel":{at}}}', f"in Berlin {at}", "In Berlin."]
    begin = book.restarted_after()
    items = [it.get("arguments") or it.get("output") or it["content"][0]["text"] for it in book.items(since=begin)]
    assert items == happened[-len(items) :]
    assert len(items) >= 4


# Mend 6: the results of the upstream's own tools stand in the ledger.


def test_the_result_of_an_upstream_s_own_tool_reaches_the_next_upstream():
    book = TimedPlaybook("converse").ready().hears("u1", "Where is my parcel?")
    book.upstream(created("resp_1", None))
    call = {"id": "mcp_1", "type": "mcp_call", "server_label": "parcels", "name": "find", "arguments": '{"id":7}'}
    done = {**call, "status": "completed", "output": "at the depot in Berlin"}
    book.upstream(
        {"type": "response.output_item.added", "response_id": "resp_1", "item": {**call, "status": "in_progress"}},
        {"type": "response.mcp_call.in_progress", "item_id": "mcp_1", "output_index": 0},
        {
            "type": "response.mcp_call_arguments.done",
            "response_id": "resp_1",
            "item_id": "mcp_1",
            "arguments": '{"id":7}',
        },
        {"type": "response.mcp_call.completed", "item_id": "mcp_1", "output_index": 0},
        {"type": "response.output_item.done", "response_id": "resp_1", "item": done},
        {"type": "conversation.item.done", "item": done},
    )
    book.says("I have found it.", item_id="item_2").ends("resp_1")
    begin = book.restarted_after()
    assert any("at the depot in Berlin" in str(item) for item in book.items(since=begin))


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_interruption_shortens_the_right_item_although_the_next_upstream_gives_the_same_ids(profile):
    book = TimedPlaybook(profile).ready().types("One?").answers("Before.", 4.0)
    here = book.restarted_after()
    book.begins_itself("resp_1", "item_1").says("After.", 4.0).ends().upstream(started("u"))
    cut = book.sent("conversation.item.delete", since=here) + book.sent("conversation.item.truncate", since=here)
    assert {event["item_id"] for event in cut} <= {"item_1", book.items(since=here)[1]["id"]}
