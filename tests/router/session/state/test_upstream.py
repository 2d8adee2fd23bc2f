"""The items of one upstream."""

import msgspec
import pytest

from router.openai import events as openai
from router.session.layouts import STATE
from router.session.packing import Packer, Unpacker
from router.session.state.upstream import MAX_ITEMS, Items


def added(item_id, role="user"):
    return openai.Item(id=item_id, type="message", role=role)


def test_the_newest_items_of_a_long_conversation_are_known():
    items = Items()
    for number in range(MAX_ITEMS + 1):
        items.register(f"ours_{number}", "message", "user")
        assert items.acknowledge(added(f"ours_{number}")) == f"ours_{number}"
    assert [items.is_ours(f"ours_{number}") for number in (0, 1, MAX_ITEMS)] == [False, True, True]


def test_an_upstream_that_acknowledges_nothing_costs_bounded_memory():
    items = Items()
    for number in range(2 * MAX_ITEMS):
        items.register(f"ours_{number}", "message", "user")
    assert items.oldest == f"ours_{MAX_ITEMS}"
    assert not items.reject("ours_0")
    assert items.reject(f"ours_{MAX_ITEMS}")


def test_an_item_of_another_id_acknowledges_the_oldest_of_its_kind():
    items = Items()
    items.register("ours_1", "function_call_output", None)
    items.register("ours_2", "message", "user")
    items.register("ours_3", "message", "user")
    assert items.acknowledge(added("theirs")) == "ours_2"
    assert items.acknowledge(added("theirs")) is None
    assert items.acknowledge(added("ours_3")) == "ours_3"


@pytest.mark.parametrize(
    ("content", "acknowledged"), [("output_text", "ours"), ("output_audio", None), ("audio", None)]
)
def test_a_spoken_answer_acknowledges_no_item_of_the_session(content, acknowledged):
    items = Items()
    items.register("ours", "message", "assistant")
    answer = openai.Item(id="theirs", type="message", role="assistant", content=[openai.ContentPart(type=content)])
    assert items.acknowledge(answer, is_done=True) == acknowledged


def test_an_item_without_an_id_acknowledges_the_oldest_of_its_kind_once():
    items = Items()
    for number in range(3):
        items.register(f"ours_{number}", "message", "user")
    assert items.acknowledge(added(None)) == "ours_0"
    assert items.acknowledge(added(None), is_done=True) is None
    assert items.acknowledge(added(None)) == "ours_1"
    assert items.is_awaited("ours_2")


def test_an_upstream_that_sends_done_alone_acknowledges_with_it():
    items = Items()
    for number in range(2):
        items.register(f"ours_{number}", "message", "user")
    assert items.acknowledge(added(None), is_done=True) == "ours_0"
    assert items.acknowledge(added(None), is_done=True) == "ours_1"


@pytest.mark.parametrize(
    ("item", "acknowledged"),
    [
        ({}, "output"),
        ({"id": "theirs"}, "output"),
        ({"role": "user"}, "text"),
        ({"type": "message"}, "text"),
        ({"type": "function_call_output"}, "output"),
        ({"type": "function_call"}, None),
        ({"role": "assistant"}, None),
    ],
)
def test_an_acknowledgement_that_leaves_type_or_role_out_fits_every_one(item, acknowledged):
    items = Items()
    items.register("output", "function_call_output", None)
    items.register("text", "message", "user")
    assert items.acknowledge(openai.Item(**item)) == acknowledged


def test_an_item_may_have_any_value_as_its_role():
    items = Items()
    items.register("mine", "message", [None])
    assert items.acknowledge(openai.Item(id="mine", type="message")) == "mine"
    assert len(items) == 0


def carried(items):
    """Return the items as another process finds them."""
    packed = msgspec.msgpack.encode(Packer(STATE).pack(items))
    return Unpacker(STATE, 0.0).unpack(msgspec.msgpack.decode(packed))


@pytest.mark.parametrize("moves", [lambda items: items, carried], ids=["here", "in another process"])
def test_a_refusal_that_names_the_event_of_a_client_s_item_is_about_that_item(moves):
    items = Items()
    items.register("own", "message", "user", "event_1")
    items.register("text", "message", "user")
    items = moves(items)
    assert items.reject("event_2") is None
    assert items.reject("event_1") == "own"
    assert items.reject("event_1") is None
    assert items.acknowledge(added("theirs")) == "text"
    assert items.acknowledge(added("theirs_too")) is None
    assert len(items) == 0
