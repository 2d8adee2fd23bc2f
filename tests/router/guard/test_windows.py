"""The agent's text, cut into windows."""

import pytest

from router.guard.windows import MAX_WINDOWS, Windows


def test_a_window_ends_with_a_sentence():
    windows = Windows(100)
    assert list(windows.add("Hello there")) == []
    assert windows.has_rest
    assert list(windows.add(". How are")) == ["Hello there. "]
    assert list(windows.flush()) == ["How are"]
    assert not windows.has_rest
    assert list(windows.flush()) == []


def test_a_long_sentence_is_cut_at_a_word_and_a_long_word_anywhere():
    assert list(Windows(10).add("one two three four")) == ["one two ", "three "]
    windows = Windows(4)
    assert list(windows.add("abcdefghij")) == ["abcd", "efgh"]
    assert list(windows.flush()) == ["ij"]


def test_no_text_is_lost_however_it_is_split():
    text = "Well. This is it! Is it? Yes: 3.14 is a number, and so on and on."
    for size in range(1, 20):
        windows = Windows(16)
        found = [it for at in range(0, len(text), size) for it in windows.add(text[at : at + size])]
        assert "".join([*found, *windows.flush()]) == text


def test_a_whole_text_of_a_megabyte_is_cut_at_once_into_a_bounded_number_of_windows():
    text = "word " * 200_000
    *windows, last = Windows(100).add(text)
    assert windows == ["word " * 20] * (MAX_WINDOWS - 1)
    assert "".join([*windows, last]) == text  # in proportion to its length, not its square


@pytest.mark.parametrize("chars", [1, 5, 120])
def test_no_text_of_many_windows_is_lost(chars):
    text = "Hi. " * 1000 + "and so on"
    windows = Windows(chars)
    found = list(windows.add(text))
    assert len(found) == MAX_WINDOWS
    assert "".join([*found, *windows.flush()]) == text
