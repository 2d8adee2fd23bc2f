"""The stories: long enough to be interrupted, and told in sentences that are spoken well."""

import re

import pytest

from router.simulator.stories import FACTS, JOKES, POEMS, STORIES


@pytest.mark.parametrize("story", STORIES)
def test_a_story_takes_half_a_minute_at_least(story):
    assert len(story) / 15 > 30


@pytest.mark.parametrize("text", [*STORIES, *JOKES, *FACTS, *POEMS])
def test_a_text_has_no_digits_and_no_long_sentence(text):
    assert not re.search(r"\d", text)
    assert all(len(sentence) < 200 for sentence in re.split(r"(?<=[.?!])\s", text))


def test_each_text_has_a_beginning_of_its_own():
    beginnings = [text[:30] for text in (*STORIES, *JOKES, *FACTS, *POEMS)]
    assert len(set(beginnings)) == len(beginnings)
