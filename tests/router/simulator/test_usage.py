"""Token counts of responses and transcriptions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.simulator.usage import response_usage, tokens, transcription_usage


@given(st.text(max_size=80))
def test_tokens_joined_are_the_text(text):
    assert "".join(tokens(text)) == text


def test_a_token_is_a_word_with_the_space_before_it_or_a_mark():
    assert tokens("Hi there, Ada!") == ["Hi", " there", ",", " Ada", "!"]


@pytest.mark.parametrize(("cached", "expected"), [(0, 0), (63, 0), (64, 64), (130, 128), (1000, 192)])
def test_whole_blocks_of_the_last_input_count_as_cached(cached, expected):
    usage = response_usage(text_in=200, audio_in=10, text_out=3, audio_out=4, cached=cached)

    assert usage["input_token_details"]["cached_tokens"] == expected
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (210, 7, 217)


def test_a_transcription_is_counted_in_seconds_or_tokens_by_its_model():
    assert transcription_usage("whisper-1", 2001, "Hi.") == {"type": "duration", "seconds": 3}
    usage = transcription_usage("gpt-4o-transcribe", 2000, "Hi.")
    assert (usage["type"], usage["input_tokens"], usage["output_tokens"]) == ("tokens", 20, 2)
