"""The items of one upstream."""

from router.openai import events as openai
from router.session.state.turn import ResponseRequest
from router.session.state.upstream import MAX_ITEMS, Items


def added(item_id, role="user"):
    return openai.Item(id=item_id, type="message", role=role)


def test_the_newest_items_of_a_long_conversation_are_known():
    items = Items()
    for number in range(MAX_ITEMS + 1):
        items.register(f"ours_{number}", "message", "user", None)
        assert items.acknowledge(added(f"ours_{number}")) == []
        assert items.claim_text(f"theirs_{number}")
    assert [items.is_ours(f"ours_{number}") for number in (0, 1, MAX_ITEMS)] == [False, True, True]
    assert [items.claim_text(f"theirs_{number}") for number in (0, 1, MAX_ITEMS)] == [True, True, False]


def test_an_upstream_that_acknowledges_nothing_costs_bounded_memory_and_loses_no_question():
    items = Items()
    items.register("question", "message", "user", ResponseRequest())
    for number in range(2 * MAX_ITEMS):
        items.register(f"ours_{number}", "message", "user", None)
    assert len(items._unacknowledged) == MAX_ITEMS
    assert items.acknowledge(added("question")) == [ResponseRequest()]
