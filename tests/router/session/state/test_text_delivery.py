"""The account of an answer: its parts, and the text that the client has of it."""

import pytest

from router.openai import events as openai
from router.session.state.text_delivery import MAX_PARTS, ItemDelivery, TextDelivery


def message(item_id, **more):
    return openai.Item(id=item_id, type="message", role="assistant", **more)


# The parts.


def test_each_item_has_its_own_part_though_they_overlap():
    answer = TextDelivery()
    answer.announce(message("a", phase="commentary"))
    answer.announce(message("b"))
    first, second = answer.of_text("a", 0), answer.of_text("b", 0)
    assert first is not second
    assert (first.is_commentary, second.is_commentary) == (True, False)
    assert answer.of_text("a", 0) is answer.of_audio("a") is first
    assert answer.newest is answer.of_audio(None) is second


def test_each_text_of_an_item_has_its_own_part():
    answer = TextDelivery()
    assert answer.of_text("a", 0) is not answer.of_text("a", 1)
    assert answer.of_text("a", None) is answer.of_text("a", 1)


def test_without_an_id_an_event_is_about_the_newest_item():
    answer = TextDelivery()
    part = answer.of_text(None, 0)
    assert answer.of_text("a", 0) is part
    assert part.item_id == "a"
    assert answer.of_text(None, 0) is answer.of_audio(None) is part


def test_an_item_that_is_announced_again_after_it_was_sent_is_another_one():
    answer = TextDelivery()
    answer.announce(message("a"))
    answer.announce(message("a"))
    assert len(answer.parts) == 1
    answer.parts[0].is_closed = True
    answer.announce(message("a"))
    assert len(answer.parts) == 2


def test_all_audio_is_that_of_a_given_text():
    answer = TextDelivery()
    answer.give("ours", "Mind the gap.")
    assert answer.of_audio("theirs") is answer.newest is answer.given
    assert answer.newest.client_has == "Mind the gap."
    assert answer.newest.is_closed


def test_audio_before_any_text_belongs_to_its_item():
    answer = TextDelivery()
    part = answer.of_audio("a")
    assert answer.of_text("a", 0) is part
    assert answer.of_audio("b") is not part


def test_an_empty_answer_has_an_empty_part():
    assert not TextDelivery().newest.has_output
    assert TextDelivery("earlier").newest.resent == "earlier"


def test_only_the_end_of_its_own_item_completes_a_part():
    answer = TextDelivery()
    part = answer.of_text("i", 0)
    for item_id, is_complete in [("other", False), (None, False), ("i", True)]:
        answer.record_end(openai.Item(id=item_id, status="completed"))
        assert part.is_complete is is_complete
    answer.record_end(openai.Item(id="i", status="incomplete"))
    assert not part.is_complete


# The text that the client has.


def continued(resent, *deltas):
    part = ItemDelivery("i", resent=resent)
    for delta in deltas:
        part.transcript += delta
        part.delivered_chars  # noqa: B018 - it is compared as it grows
    return part


@pytest.mark.parametrize(
    ("resent", "deltas", "repeated"),
    [
        ("", ["Yes."], 0),
        ("They lived", ["They"], 4),
        ("They lived", ["They", " lived", " happily"], 10),
        ("They lived", ["They", " went"], 0),
        ("They lived", [" They", "  lived on"], 12),
        ("lived ", ["lived"], 5),
    ],
)
def test_a_continuation_repeats_the_text_that_the_client_has_until_they_differ(resent, deltas, repeated):
    assert continued(resent, *deltas).repeated_chars == repeated


def test_text_of_the_continued_answer_counts_as_delivered():
    part = continued("They lived", "They lived on. And on.")
    assert part.delivered_chars == 10
    part.sent_chars = 14
    assert part.delivered_chars == 14
    assert part.client_has == "They lived on."


def test_the_client_keeps_the_earlier_text_while_nothing_new_was_generated():
    assert continued("They lived", "They").client_has == "They lived"
    assert continued("They lived", "They went").client_has == ""


def test_another_final_wording_is_compared_anew():
    part = continued("They lived", "They went")
    part.replace_text("They lived happily.")
    assert (part.repeated_chars, part.searched_chars) == (10, 0)


def test_only_the_first_text_of_a_response_repeats_an_earlier_one():
    answer = TextDelivery("They lived")
    assert answer.of_text("a", 0).resent == "They lived"
    assert answer.of_text("b", 0).resent == ""


def test_of_many_parts_the_oldest_leave_and_a_verbatim_text_stays():
    answer = TextDelivery()
    answer.give("ours", "Mind the gap.")
    for at in range(MAX_PARTS + 1):
        answer.of_text(f"item_{at}", 0).transcript = "Hi"
        while (part := answer.take_excess()) is not None:
            assert part.item_id == answer.dropped[-1]
    assert len(answer.parts) == MAX_PARTS
    assert answer.parts[0] is answer.given
    assert answer.dropped == ("item_0", "item_1")


def test_the_text_of_an_announced_item_may_still_come_when_its_part_has_left():
    answer = TextDelivery()
    for at in range(MAX_PARTS + 1):
        answer.announce(message(f"item_{at}"))
    assert answer.take_excess().item_id == "item_0"
    assert answer.dropped == ()
