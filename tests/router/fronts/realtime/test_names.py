"""Ids that the client and the upstream use for the same thing."""

from router.fronts.realtime.names import Names
from router.fronts.realtime.wire import new_event


def test_an_id_is_the_same_on_both_sides_unless_it_is_matched():
    names = Names()
    event = new_event("x", item_id="a")
    assert names.to_upstream(event) is event
    names.to_client(event)
    assert event.fields == {"type": "x", "item_id": "a"}


def test_matched_ids_are_translated_wherever_an_event_has_them():
    names = Names()
    names.match("up", "down")
    event = new_event(
        "x", item_id="up", response_id="r", item={"id": "up"}, response={"id": "r", "output": [{"id": "up"}]}
    )
    names.to_client(event)
    assert (
        event.fields["item_id"] == event.fields["item"]["id"] == event.fields["response"]["output"][0]["id"] == "down"
    )
    back = names.to_upstream(event)
    assert back.fields["item_id"] == "up"
    assert event.fields["item_id"] == "down", "the client's event may be sent again"
    assert names.is_client_only("up")
    assert (names.client_id("up"), names.upstream_id("down")) == ("down", "up")


def test_the_copy_of_an_event_shares_no_object_with_an_id():
    names = Names()
    names.match("up", "down")
    items = [{"id": "down"}, "text"]
    event = new_event("x", item={"id": "down", "audio": []}, response={"id": "down", "input": items, "output": None})
    back = names.to_upstream(event)
    assert back.fields["item"] == {"id": "up", "audio": []}
    assert back.fields["response"] == {"id": "up", "input": [{"id": "up"}, "text"], "output": None}
    assert items == [{"id": "down"}, "text"]
    assert event.fields["item"]["id"] == event.fields["response"]["id"] == "down"


def test_another_upstream_begins_with_the_ids_as_they_are():
    names = Names()
    names.match("up", "down")
    names.note("resp_1")
    assert (names.is_known("resp_1"), names.is_taken("resp_1")) == (True, False)
    names.begin()
    assert (names.is_known("resp_1"), names.is_taken("resp_1")) == (False, True)
    assert names.client_id("up") == "up"


def test_no_id_of_the_router_s_own_is_given_twice():
    names = Names()
    assert len({names.new("item") for _ in range(100)}) == 100
    assert max(len(names.new("item")) for _ in range(100)) <= 32
