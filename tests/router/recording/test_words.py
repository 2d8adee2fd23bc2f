"""The replacement of words: nothing can be read, and the shape stays."""

import orjson
import pytest
from hypothesis import given, strategies

from router.recording.words import masked
from router.translation.sentences import sentences_of

TEXTS = strategies.text(strategies.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("My name is Ada.", "Xx xxxx xx Xxx."),
        ("Call 555-0199!", "Xxxx 111-1111!"),
        ("Grüße, 世界 🙂", "Xxééx, 文文 𠀀"),
        ("(The caller pressed the key #)", "(Xxx xxxxxx xxxxxxx xxx xxx #)"),
        ("", ""),
        (
            '{"city": "Paris", "n": -12.5e3, "is": true, "x": null}',
            '{"xxxx": "Xxxxx", "x": -11.1e1, "xx": true, "x": null}',
        ),
        (r'["a\"b\n\u0041dß"]', r'["x\"x\n\u0078xé"]'),
        ("[not JSON", "[xxx XXXX"),
    ],
)
def test_letters_and_digits_are_replaced_and_everything_else_stays(text, shape):
    assert masked(text) == shape


@given(TEXTS)
def test_a_mask_keeps_the_length_the_size_and_the_white_space(text):
    shape = masked(f".{text}")[1:]  # never JSON
    assert len(shape) == len(text)
    assert len(shape.encode()) == len(text.encode())
    assert [char.isspace() for char in shape] == [char.isspace() for char in text]


@given(strategies.text("abc Z.,?", max_size=40), strategies.text("abc Z.,?", max_size=40))
def test_the_parts_of_a_text_have_the_mask_of_the_whole(first, second):
    assert masked(first) + masked(second) == masked(first + second)


def test_sentences_end_at_the_same_places():
    text = "Hello there. How are you? 世界。 Fine!"
    whole, shape = sentences_of(text, is_final=True), sentences_of(masked(text), is_final=True)
    assert [masked(sentence) for sentence in whole.sentences] == shape.sentences


@given(
    strategies.dictionaries(
        TEXTS, TEXTS | strategies.integers(-(2**53), 2**53) | strategies.none() | strategies.booleans()
    )
)
def test_json_stays_json(value):
    orjson.loads(masked(orjson.dumps(value).decode()))
