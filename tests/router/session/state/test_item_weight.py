"""The price of an item, and an item that is cut to a price."""

import base64

import msgspec
import pytest

from router.openai import events as openai
from router.session.state.item_weight import IMAGE_TOKENS, Weight, cut_to, weight_of
from router.translation.text import message_item

PIXELS = base64.b64encode(bytes(30_000)).decode()
SECOND = base64.b64encode(bytes(48_000)).decode()


def own(*parts, **fields):
    return {"id": "mine", "type": "message", "role": "user", "content": list(parts), **fields}


def test_a_token_is_four_characters_of_an_item():
    item = message_item("a", "user", "x" * 4000)
    assert weight_of(item) == Weight(len(msgspec.json.encode(item)) // 4, len(msgspec.json.encode(item)))


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "input_image", "image_url": f"data:image/png;base64,{PIXELS}"}, IMAGE_TOKENS),
        ({"type": "input_audio", "audio": SECOND}, 10),
    ],
)
def test_an_image_or_a_sound_costs_its_own_price_and_its_bytes(part, tokens):
    item = own(part)
    weight = weight_of(item)
    assert tokens <= weight.tokens < tokens + 60
    assert weight.size_bytes == len(msgspec.json.encode(item))


@pytest.mark.parametrize(
    "item",
    [
        own({"type": "input_image"}),
        own({"type": "input_audio", "audio": 5}),
        own(5),
        own(content=None),
        {"type": 7},
        {},
    ],
)
def test_an_item_of_another_form_costs_its_text(item):
    assert weight_of(item).tokens == len(msgspec.json.encode(item)) // 4


MOST = Weight(tokens=500, size_bytes=4000)
LONG = "word " * 2000

TOO_LONG = {
    "a message": (message_item("a", "user", LONG), {"id": "a", "role": "user"}),
    "a text of escapes": (message_item("a", "user", '"\\\n' * 2000), {"id": "a"}),
    "a text outside ASCII": (message_item("a", "user", "é" * 5000), {"id": "a"}),
    "an output": (openai.FunctionCallOutputItem(id="o", call_id="c", output=LONG), {"id": "o", "call_id": "c"}),
    "arguments": (
        openai.FunctionCallItem(id="f", call_id="c", name="f", arguments=f'{{"a":"{LONG}"}}'),
        {"call_id": "c", "name": "f", "arguments": "{}"},
    ),
    "a client's own message": (
        own({"type": "input_text", "text": LONG}, {"type": "input_text", "text": LONG}),
        {"id": "mine", "type": "message", "role": "user"},
    ),
    "a client's own image": (
        own({"type": "input_image", "image_url": PIXELS}),
        {"id": "mine", "content": [{"type": "input_text", "text": "…"}]},
    ),
    "a client's own output": (
        {"type": "function_call_output", "call_id": "c", "output": LONG},
        {"type": "function_call_output", "call_id": "c"},
    ),
    "a client's own call": (
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": LONG},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ),
    "fields that nobody knows": ({"type": "x", "role": "user", "a": LONG}, {"type": "x", "role": "user"}),
}


@pytest.mark.parametrize(("item", "kept"), TOO_LONG.values(), ids=TOO_LONG)
def test_an_item_that_is_too_long_is_cut_and_keeps_what_names_it(item, kept):
    assert weight_of(item).exceeds(MOST)
    cut = cut_to(item, MOST)
    assert not weight_of(cut).exceeds(MOST)
    fields = msgspec.to_builtins(cut)
    assert {name: fields[name] for name in kept} == kept


def test_the_beginning_of_a_text_is_kept():
    cut = cut_to(message_item("a", "assistant", LONG), MOST)
    (part,) = cut.content
    assert part.text.startswith("word word")
    assert part.text.endswith("…")
    assert len(part.text) > 800


def test_an_item_within_the_price_stays_as_it_is():
    item = message_item("a", "user", "Hi.")
    assert cut_to(item, MOST) is item
