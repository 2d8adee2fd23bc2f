"""The tokens in usage objects: by modality, direction and cache state, whatever the upstream leaves out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.usage.tokens import Measured, TokenKind, measure
from tests.support.data.recordings import NAMES, recording

TEXT, AUDIO = TokenKind("text", "input"), TokenKind("audio", "input")
CACHED_TEXT, CACHED_AUDIO = TokenKind("text", "input", cached=True), TokenKind("audio", "input", cached=True)
TEXT_OUT, AUDIO_OUT = TokenKind("text", "output"), TokenKind("audio", "output")

FIELDS = [
    *("type", "seconds", "input_tokens", "output_tokens", "input_token_details", "output_token_details"),
    *("text_tokens", "audio_tokens", "image_tokens", "cached_tokens", "cached_tokens_details"),
]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)


def details(**parts):
    return {"input_tokens": 130, "output_tokens": 50, **parts}


def test_cached_tokens_are_a_part_of_the_input_and_not_added_to_it():
    cached = {"text_tokens": 64, "audio_tokens": 10}
    read = {"text_tokens": 100, "audio_tokens": 30, "cached_tokens": 74, "cached_tokens_details": cached}
    written = {"text_tokens": 20, "audio_tokens": 30}
    found = measure(details(input_token_details=read, output_token_details=written)).tokens
    assert found == {TEXT: 36, CACHED_TEXT: 64, AUDIO: 20, CACHED_AUDIO: 10, TEXT_OUT: 20, AUDIO_OUT: 30}
    assert sum(count for kind, count in found.items() if kind.direction == "input") == 130


def test_a_sum_of_cached_tokens_without_parts_is_text_first_and_never_more_than_there_is():
    read = {"text_tokens": 100, "audio_tokens": 30, "cached_tokens": 110}
    found = measure(details(input_token_details=read)).tokens
    assert (found[CACHED_TEXT], found[CACHED_AUDIO], found[AUDIO]) == (100, 10, 20)
    assert TEXT not in found


def test_tokens_without_parts_are_text():
    assert measure(details()).tokens == {TEXT: 130, TEXT_OUT: 50}


def test_images_are_a_modality_of_their_own():
    read = {"text_tokens": 30, "image_tokens": 100, "cached_tokens": 0}
    assert measure(details(input_token_details=read)).tokens[TokenKind("image", "input")] == 100


def test_a_transcription_has_tokens_or_a_duration():
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 5, "input_token_details": {"audio_tokens": 14}}
    assert measure(usage) == Measured({AUDIO: 14, TEXT_OUT: 5})
    assert measure({"type": "duration", "seconds": 3}) == Measured({}, 3.0)


@pytest.mark.parametrize("odd", [None, [], "12", {"input_tokens": True}, {"input_tokens": -4}, {"input_tokens": 1e300}])
def test_an_object_that_is_no_usage_counts_nothing(odd):
    assert measure(odd) == Measured({})


@given(ODD)
def test_no_object_counts_a_negative_number_or_fails(odd):
    found = measure(odd)
    assert all(count > 0 for count in found.tokens.values())
    assert found.seconds >= 0


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_each_recorded_usage_add_up_to_its_totals(name):
    done = [step.event for step in recording(name) if step.event["type"] == "response.done"]
    for usage in filter(None, (event["response"].get("usage") or event.get("usage") for event in done)):
        found = measure(usage).tokens
        for direction in ("input", "output"):
            counted = sum(count for kind, count in found.items() if kind.direction == direction)
            assert counted == usage[f"{direction}_tokens"]
