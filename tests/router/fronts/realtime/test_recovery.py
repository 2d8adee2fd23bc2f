"""Another upstream in place of a lost one."""

import pytest

from actors import messages as engine
from actors.restart import Decision, Loss, LossKind
from router.session.reports import SessionFailed, Turn, TurnEnded, UpstreamTookOver
from tests.support.machine.realtime_book import LOST, RealtimeBook, message


@pytest.fixture
def book():
    return RealtimeBook().ready()


def kinds(events):
    return [event["type"] for event in events]


def statuses(events):
    return [event["response"]["status"] for event in events if event["type"] == "response.done"]


def test_the_client_sees_no_second_session_and_no_acknowledgement_of_what_is_repeated(book):
    book.client("session.update", session={"instructions": "Be brief."}).server("session.updated", session={})
    book.ask().begin().write("One").finish("One").lose().take()
    book.open()
    sent, upstream = book.take()
    assert sent == []
    assert kinds(upstream) == ["session.update", "conversation.item.create", "conversation.item.create"]
    for event in upstream[1:]:
        book.acknowledge(event["item"])
    assert book.take()[0] == []


def test_a_server_that_gives_repeated_items_ids_of_its_own_shows_none_of_them(book):
    book.ask().begin().write("One").finish("One").lose().open().take()
    book.acknowledge(message("x1", "user", "one?"))
    book.acknowledge(message("x2", "assistant", "One"), previous="x1")
    assert book.take()[0] == []
    book.client("conversation.item.create", previous_item_id="a1", item=message("new", "user", "two?"))
    assert book.take()[1][0]["previous_item_id"] == "x2"
    book.acknowledge(message("new", "user", "two?"), previous="x2")
    assert book.take()[0][0]["previous_item_id"] == "a1"


def test_updates_that_were_not_acknowledged_are_sent_again_one_by_one(book):
    book.client("session.update", session={"instructions": "1"}).client("session.update", session={"tools": []})
    book.server("session.updated", session={}).lose().take()
    book.open()
    assert [event["session"] for event in book.take()[1]] == [{"instructions": "1"}, {"tools": []}]
    book.server("session.updated", session={})
    assert book.kinds() == ["session.updated"]


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_question_without_any_answer_is_asked_again_and_the_client_sees_one_response(book, is_begun):
    book.client("session.update", session={"instructions": "1"}).server("session.updated", session={})
    book.ask()
    if is_begun:
        book.begin("r1")
    book.lose().open()
    assert kinds(book.take()[1])[-1] == "response.create"
    book.begin("r2").write("Two", response="r2", name="a2").finish("Two", response="r2", name="a2")
    sent = book.take()[0]
    assert kinds(sent).count("response.created") == (0 if is_begun else 1)
    name = "r1" if is_begun else "r2"
    assert [event["response"]["id"] for event in sent if event["type"] == "response.done"] == [name]
    assert {event["response_id"] for event in sent if "response_id" in event} == {name}


def test_an_answer_that_was_cut_ends_whole_and_continues_as_a_new_response(book):
    book.client("session.update", session={"instructions": "Be brief."}).server("session.updated", session={})
    book.ask().begin(metadata=None).write("One two").take()
    book.lose()
    sent = book.take()[0]
    assert kinds(sent)[-2:] == ["response.output_item.done", "response.done"]
    assert statuses(sent) == ["incomplete"]
    upstream = book.open().take()[1]
    assert upstream[-2]["item"]["content"][0]["text"] == "One two"
    asked = upstream[-1]["response"]["instructions"]
    assert asked.startswith("Be brief.")
    assert '"One two"' in asked
    book.begin("r2")
    assert kinds(book.take()[0]) == ["response.created"]


def test_an_answer_that_was_cut_and_its_rest_are_one_turn(book):
    book.ask().begin().write("One").lose().open()
    book.begin("r2").write("two", response="r2", name="a2").finish("two", response="r2", name="a2")
    facts = [it.notification for it in book.others if isinstance(it, engine.Notify)]
    assert [type(fact) for fact in facts].count(TurnEnded) == 1
    assert [fact.text("assistant") for fact in facts if isinstance(fact, Turn)] == ["One two"]


def test_a_continued_answer_keeps_the_client_s_own_parameters(book):
    given = {"metadata": {"n": "1"}, "input": [message("x", "user", "one?")], "instructions": "Rhyme."}
    book.client("response.create", response=given).begin(metadata={"n": "1"}).write("One").lose().open()
    asked = book.take()[1][-1]["response"]
    assert asked["metadata"] == {"n": "1"}
    assert asked["instructions"].startswith("Rhyme.")
    assert [item["role"] for item in asked["input"]] == ["user", "assistant"]


def test_with_stop_the_answer_ends_where_it_was_cut():
    book = RealtimeBook(interrupted_answer="stop").ready().ask().begin().write("One")
    book.lose()
    assert statuses(book.take()[0]) == ["incomplete"]
    assert "response.create" not in kinds(book.open().take()[1])


def test_a_client_that_asks_again_itself_does_not_get_the_rest_as_well(book):
    book.ask().begin().write("One").take()
    book.lose().client("response.create", event_id="mine")
    asked = [event for event in book.open().take()[1] if event["type"] == "response.create"]
    assert [event["event_id"] for event in asked] == ["mine"]


def test_a_call_that_the_client_has_stands(book):
    book.ask().begin().call().take()
    book.lose()
    sent = book.take()[0]
    assert kinds(sent) == ["conversation.item.done", "response.output_item.done", "response.done"]
    assert (sent[1]["item"]["status"], statuses(sent)) == ("completed", ["completed"])
    upstream = book.open().take()[1]
    assert kinds(upstream) == ["conversation.item.create"] * 2
    assert upstream[-1]["item"]["call_id"] == "call_1"
    output = {"type": "function_call_output", "call_id": "call_1", "output": "Sunny."}
    book.client("conversation.item.create", item=output).client("response.create")
    assert [event["type"] for event in book.take()[1]] == ["conversation.item.create", "response.create"]


def test_half_a_call_is_no_call_and_its_question_is_asked_again(book):
    item = {"id": "c", "type": "function_call", "name": "f", "call_id": "k", "arguments": "", "status": "in_progress"}
    place = {"response_id": "r1", "item_id": "c", "output_index": 0, "call_id": "k"}
    book.ask().begin().server("response.output_item.added", response_id="r1", output_index=0, item=item)
    book.server("response.function_call_arguments.delta", **place, delta='{"a"').take()
    book.lose()
    sent = book.take()[0]
    assert "response.function_call_arguments.done" not in kinds(sent)
    assert statuses(sent) == ["incomplete"]
    upstream = book.open().take()[1]
    assert [event.get("item", {}).get("id") for event in upstream] == ["q1", None]
    assert "response" not in upstream[-1]


def test_an_answer_of_which_only_the_end_is_missing_is_complete(book):
    item = message("a1", "assistant", "One.", status="completed")
    book.ask().begin().write("One.").server("response.output_item.done", response_id="r1", output_index=0, item=item)
    book.take()
    book.lose()
    assert statuses(book.take()[0]) == ["completed"]
    assert "response.create" not in kinds(book.open().take()[1])


def test_events_about_items_that_the_lost_upstream_did_not_answer_are_answered(book):
    book.ask().begin().write("One").finish("One")
    book.client("conversation.item.retrieve", item_id="a1").take()
    book.client("conversation.item.truncate", item_id="a1", content_index=0, audio_end_ms=0).take()
    book.lose()
    assert kinds(book.take()[0]) == ["conversation.item.retrieved", "conversation.item.truncated"]


def test_an_item_that_was_not_acknowledged_is_created_again_and_acknowledged(book):
    book.client("conversation.item.create", item=message("q1", "user", "one?")).client("response.create").take()
    book.lose().open()
    assert kinds(book.take()[1]) == ["conversation.item.create", "response.create"]
    book.acknowledge(message("q1", "user", "one?"))
    assert kinds(book.take()[0]) == ["conversation.item.added", "conversation.item.done"]


def test_a_second_loss_during_a_restart_asks_no_question_twice(book):
    book.ask().begin().lose().open().take()
    book.lose().open()
    assert kinds(book.take()[1]).count("response.create") == 1
    book.lose()
    book.lose().open()
    assert kinds(book.take()[1]).count("response.create") == 1


def test_a_restart_is_reported_and_noticed_on_request_alone(book):
    book.lose().open()
    facts = [it.notification for it in book.others if isinstance(it, engine.Notify)]
    assert facts == [UpstreamTookOver(generation=2, position=0)]
    assert book.sent == []
    noticed = RealtimeBook(query={"notices": "1"}).ready().lose()
    assert kinds(noticed.take()[0]) == ["switchboard.upstream_restarted"]


def test_an_upstream_that_is_lost_before_the_session_began_is_replaced_without_a_word():
    book = RealtimeBook().client("session.update", session={"instructions": "1"}).lose()
    assert book.sent == []
    book.open()
    assert kinds(book.take()[0]) == ["session.created"]


def test_a_response_that_the_router_may_not_ask_for_ends_as_failed(book):
    book.ask().begin().lose().open()
    event_id = book.take()[1][-1]["event_id"]
    book.server("error", error={"type": "invalid_request_error", "code": "invalid_value", "event_id": event_id})
    assert statuses(book.take()[0]) == ["failed"]


@pytest.mark.parametrize(
    ("loss", "code", "close_code"),
    [
        (LOST, "upstream_closed", 1013),
        (Loss(kind=LossKind.HTTP, code=401), "upstream_unauthorized", 1000),
        (Loss(kind=LossKind.HTTP, code=500), "upstream_unavailable", 1013),
        (Loss(kind=LossKind.NOT_DIALLED, cause="refused"), "upstream_unavailable", 1013),
        (Loss(kind=LossKind.SILENT, cause="ack"), "upstream_timeout", 1013),
        (Loss(kind=LossKind.MALFORMED), "upstream_protocol_error", 1013),
        (Loss(kind=LossKind.FAILED), "internal_server_error", 1013),
        (Loss(kind=LossKind.REFUSED, cause="invalid_value"), "invalid_value", 1013),
    ],
)
def test_a_session_without_another_attempt_ends_with_an_error_that_has_a_code_and_a_close(loss, code, close_code):
    book = RealtimeBook().ready().ask().begin().write("One")
    book.lose(Decision.TEAR_DOWN, loss)
    assert statuses(book.sent) == ["failed"]
    assert (book.sent[-1]["type"], book.sent[-1]["error"]["code"], book.ending.code) == ("error", code, close_code)
    assert any(isinstance(it, engine.Notify) and isinstance(it.notification, SessionFailed) for it in book.others)


def test_the_upstream_s_own_refusal_explains_the_end():
    book = RealtimeBook().feed(engine.UpstreamOpened(1, 0, 0.0))
    book.server("error", error={"type": "insufficient_quota", "code": "insufficient_quota", "message": "no money"})
    book.lose(Decision.TEAR_DOWN)
    assert (book.sent[-1]["error"]["code"], book.sent[-1]["error"]["message"]) == ("insufficient_quota", "no money")
    assert (book.ending.code, book.ending.reason) == (1000, "insufficient_quota.insufficient_quota")
