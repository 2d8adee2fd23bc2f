"""The events of responses."""

import base64

import pytest

from actors import messages as engine
from router.session.reports import AudioCarried, TurnEnded, Usage
from tests.support.machine.realtime_book import RealtimeBook, message


@pytest.fixture
def book():
    return RealtimeBook().ready()


def notified(book):
    return [it.notification for it in book.others if isinstance(it, engine.Notify)]


def test_a_response_begins_once_and_ends_once(book):
    book.ask().begin().begin().write("One").finish("One").done()
    kinds = book.kinds()
    assert (kinds.count("response.created"), kinds.count("response.done")) == (1, 1)
    book.server("response.output_text.delta", response_id="r1", item_id="a1", content_index=0, delta="late")
    assert book.take()[0] == []


def test_an_id_that_another_upstream_gives_again_is_another_one_for_the_client(book):
    book.ask().begin().write("One").finish("One").lose().open().take()
    book.client("response.create").begin("r1").write("Two", response="r1", name="a1").finish("Two")
    sent = book.take()[0]
    created, added = sent[0]["response"]["id"], sent[1]["item"]["id"]
    assert created != "r1"
    assert added != "a1"
    assert all(event.get("response_id", created) == created for event in sent)
    assert sent[-1]["response"]["id"] == created
    book.client("conversation.item.truncate", item_id=added, content_index=0, audio_end_ms=0)
    sent, upstream = book.take()
    assert (sent[0]["item_id"], upstream) == (added, []), "the upstream has two items of that id"


def test_a_call_id_that_is_given_again_is_another_one_for_the_client(book):
    book.ask().begin().call().done().lose().open().take()
    book.client("response.create").begin("r2").call("c2", "call_1", response="r2")
    call_id = book.take()[0][1]["item"]["call_id"]
    assert call_id != "call_1"
    output = {"id": "o", "type": "function_call_output", "call_id": call_id, "output": "Sunny."}
    book.client("conversation.item.create", item=output)
    assert book.take()[1][0]["item"]["call_id"] == "call_1"


def test_a_server_that_announces_no_response_is_relayed_all_the_same(book):
    book.ask().write("One", response="r9")
    assert "response.output_text.delta" in book.kinds()
    book.lose()
    assert book.kinds()[-1] == "response.done"


def test_the_end_of_a_response_is_reported_with_its_usage(book):
    book.ask().begin().write("One").take()
    book.server("response.done", response={"id": "r1", "status": "completed", "usage": {"total_tokens": 3}})
    kinds = [type(it) for it in notified(book)]
    assert Usage in kinds
    assert TurnEnded in kinds
    assert engine.ResetRestartBudget() in book.others


def test_the_audio_of_both_sides_is_reported_at_the_end_of_a_response(book):
    second = base64.b64encode(bytes(48_000)).decode()
    book.client("input_audio_buffer.append", audio=second).ask().begin()
    place = {"response_id": "r1", "item_id": "a1", "content_index": 0, "output_index": 0}
    book.server("response.output_audio.delta", **place, delta=second)
    book.server("response.output_audio.delta", **place, delta=second).done()
    assert [it for it in notified(book) if isinstance(it, AudioCarried)] == [AudioCarried(received_s=1.0, sent_s=2.0)]


def test_a_failed_response_passes_and_restores_no_budget(book):
    book.ask().begin().take()
    book.done(status="failed")
    assert engine.ResetRestartBudget() not in book.others
    assert book.kinds() == ["response.done"]


def test_an_event_without_a_response_passes(book):
    book.server("response.mcp_call.in_progress", item_id="m1")
    assert book.kinds() == ["response.mcp_call.in_progress"]


def test_a_response_outside_the_conversation_leaves_no_item(book):
    book.client("response.create", response={"conversation": "none", "metadata": {"n": "1"}})
    book.server("response.created", response={"id": "r1", "conversation_id": None, "metadata": {"n": "1"}})
    item = message("a1", "assistant", status="in_progress")
    book.server("response.output_item.added", response_id="r1", output_index=0, item=item)
    assert book.lose().open().take()[1][-1]["type"] == "response.create", "it is asked for again"


def test_an_id_is_translated_once(book):
    """The next upstream begins under the id of an old response, and then gives that id itself."""
    book.ask().begin("r1").lose().open()
    book.begin("r2").take()
    book.client("response.create", response={"conversation": "none", "metadata": {"n": "1"}})
    book.server("response.created", response={"id": "r1", "conversation_id": None, "metadata": {"n": "1"}})
    other = book.take()[0][0]["response"]["id"]
    assert other not in ("r1", "r2")
    book.write("One", response="r2", name="a2").write("Two", response="r1", name="a3")
    assert [event["response_id"] for event in book.take()[0] if "delta" in event] == ["r1", other]
