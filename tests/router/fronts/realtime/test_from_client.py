"""The client's events."""

import pytest

from tests.support.machine.realtime_book import AUDIO_SESSION, MANUAL_SESSION, RealtimeBook, message


@pytest.fixture
def book():
    return RealtimeBook().ready()


def answered(book):
    return book.ask().begin().write("One two three").finish("One two three")


def test_each_update_gets_its_own_acknowledgement(book):
    book.client("session.update", session={"instructions": "1"}).client("session.update", session={"voice": "2"})
    assert [event["session"] for event in book.take()[1]] == [{"instructions": "1"}, {"voice": "2"}]
    book.server("session.updated", session={"id": "sess_1"}).server("session.updated", session={"id": "sess_1"})
    assert book.kinds() == ["session.updated"] * 2


def test_another_model_than_the_one_in_use_is_left_out_of_an_update(book):
    book.client("session.update", session={"model": "gpt-other", "instructions": "1"})
    book.client("session.update", session={"model": "gpt-realtime-2.1"})
    assert [event["session"] for event in book.take()[1]] == [{"instructions": "1"}, {"model": "gpt-realtime-2.1"}]


def test_an_item_without_an_id_gets_one_for_every_upstream(book):
    item = {key: value for key, value in message("", "user", "hello").items() if key != "id"}
    book.client("conversation.item.create", item=item)
    created = book.take()[1][0]["item"]
    assert {**item, "id": created["id"]} == created
    book.acknowledge(created)
    assert book.sent[0]["item"]["id"] == created["id"]
    book.lose().open()
    assert book.take()[1][-1]["item"]["id"] == created["id"]


def test_the_error_about_an_event_without_an_id_names_none(book):
    book.client("session.update", session={"bad": 1})
    given = book.take()[1][0]["event_id"]
    book.server("error", error={"type": "invalid_request_error", "code": "unknown_parameter", "event_id": given})
    assert book.take()[0][0]["error"]["event_id"] is None
    book.client("session.update", event_id="mine", session={"bad": 1}).take()
    book.server("error", error={"type": "invalid_request_error", "code": "unknown_parameter", "event_id": "mine"})
    assert book.take()[0][0]["error"]["event_id"] == "mine"
    assert book.lose().open().take()[1] == [], "a refused update is not repeated"


def test_events_about_an_item_of_this_upstream_pass(book):
    answered(book).take()
    for kind in ("retrieve", "truncate", "delete"):
        book.client(f"conversation.item.{kind}", item_id="a1")
    assert [event["type"].rpartition(".")[2] for event in book.take()[1]] == ["retrieve", "truncate", "delete"]


@pytest.mark.parametrize("is_open", [False, True])
def test_an_item_of_an_earlier_upstream_is_retrieved_from_the_router(book, is_open):
    answered(book).lose()
    if is_open:
        book.open()
    book.take()
    book.client("conversation.item.retrieve", item_id="a1")
    sent, upstream = book.take()
    assert (sent[0]["type"], sent[0]["item"]["content"][0]["text"]) == ("conversation.item.retrieved", "One two three")
    assert upstream == []


def test_an_item_of_an_earlier_upstream_is_truncated_for_the_next_one(book):
    answered(book).lose().take()
    book.client("conversation.item.truncate", item_id="a1", content_index=0, audio_end_ms=600)
    (sent,), _ = book.take()
    assert {key: sent[key] for key in sent if key != "event_id"} == {
        "type": "conversation.item.truncated",
        "item_id": "a1",
        "content_index": 0,
        "audio_end_ms": 600,
    }
    assert book.open().take()[1][-1]["item"]["content"][0]["text"] == "One two"


def test_a_truncation_corrects_the_upstream_that_has_the_item_already(book):
    answered(book).lose().open().take()
    book.client("conversation.item.truncate", item_id="a1", content_index=0, audio_end_ms=600)
    sent, upstream = book.take()
    assert [event["type"] for event in sent] == ["conversation.item.truncated"]
    assert [event["type"] for event in upstream] == ["conversation.item.delete", "conversation.item.create"]
    assert upstream[1]["item"]["content"][0]["text"] == "One two"
    assert upstream[1]["previous_item_id"] == "q1", "in its place"
    book.server("conversation.item.deleted", item_id="a1").acknowledge(upstream[1]["item"])
    assert book.take()[0] == []


def test_a_truncation_keeps_the_place_of_an_item_whose_predecessor_is_gone(book):
    answered(book).ask("two?", "q2").lose().open().take()
    book.client("conversation.item.delete", item_id="q1").take()
    book.client("conversation.item.truncate", item_id="a1", content_index=0, audio_end_ms=600)
    assert book.take()[1][-1]["previous_item_id"] == "root"


def test_an_item_of_an_earlier_upstream_is_deleted_everywhere(book):
    answered(book).lose().open().take()
    book.client("conversation.item.delete", item_id="a1")
    sent, upstream = book.take()
    assert [event["type"] for event in sent] == ["conversation.item.deleted"]
    assert [event["item_id"] for event in upstream] == ["a1"]
    book.server("conversation.item.deleted", item_id="a1")
    assert book.take()[0] == []
    assert [event["item"]["id"] for event in book.lose().open().take()[1]] == ["q1"]


def test_an_unknown_item_is_the_upstream_s_to_refuse(book):
    book.lose().take()
    book.client("conversation.item.retrieve", item_id="nowhere")
    assert book.take() == ([], [])
    assert book.open().take()[1][-1]["item_id"] == "nowhere"


def test_an_item_is_placed_behind_one_that_the_upstream_has(book):
    book.ask().begin().call().done().take()
    book.server("response.created", response={"id": "r2", "conversation_id": "conv"})
    item = message("empty", "assistant", status="in_progress")
    book.server("response.output_item.added", response_id="r2", output_index=0, item=item).lose().open().take()
    book.client("conversation.item.create", previous_item_id="empty", item=message("new", "user", "hello"))
    assert book.take()[1][0]["previous_item_id"] == "c1"


def test_a_cancelled_answer_is_not_continued(book):
    book.ask().begin().write("One").client("response.cancel").take()
    book.lose()
    assert book.take()[0][-1]["response"]["status"] == "cancelled"
    assert [event["type"] for event in book.open().take()[1]] == ["conversation.item.create"] * 2


def test_an_answer_that_would_continue_can_be_cancelled(book):
    book.ask().begin().write("One").lose().take()
    book.client("response.cancel", event_id="mine")
    assert book.take()[0][0]["error"]["code"] == "response_cancel_not_active"
    assert "response.create" not in [event["type"] for event in book.open().take()[1]]


def test_a_response_that_has_begun_alone_can_be_cancelled_while_no_upstream_serves(book):
    book.ask().begin().lose().take()
    book.client("response.cancel", response_id="r1")
    assert book.take()[0][0]["response"]["status"] == "cancelled"
    assert "response.create" not in [event["type"] for event in book.open().take()[1]]


def test_a_cancel_waits_behind_the_request_that_it_cancels(book):
    book.lose().client("response.create").client("response.cancel")
    assert [event["type"] for event in book.open().take()[1]] == ["response.create", "response.cancel"]


def test_a_commit_takes_its_audio_with_it_to_the_next_upstream():
    book = RealtimeBook().ready(**MANUAL_SESSION)
    book.client("input_audio_buffer.append", audio="AAAA").client("input_audio_buffer.commit")
    book.client("input_audio_buffer.append", audio="BBBB").lose().client("input_audio_buffer.append", audio="CCCC")
    book.take()
    book.open(**MANUAL_SESSION)
    sent = [event.get("audio", event["type"]) for event in book.take()[1]]
    assert sent == ["AAAA", "input_audio_buffer.commit", "BBBB", "CCCC"]


def test_cleared_audio_is_not_heard_again():
    book = RealtimeBook().ready(**AUDIO_SESSION)
    book.client("input_audio_buffer.append", audio="AAAA").client("input_audio_buffer.clear")
    book.server("input_audio_buffer.cleared").lose().take()
    assert book.open(**AUDIO_SESSION).take()[1] == []
