"""Rates, as an operator writes them."""

import pytest

from router.config.rates import rate, rate_of


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5/minute", (5, 60)),
        ("5 / minute", (5, 60)),
        ("100 per hour", (100, 3600)),
        ("10/5 minutes", (10, 300)),
        ("1/second", (1, 1)),
        ("1000/day", (1000, 86400)),
    ],
)
def test_a_rate_has_a_count_and_a_period(written, expected):
    assert rate_of(rate(written)) == expected


def test_an_empty_text_is_no_rate():
    assert rate("") == ""


@pytest.mark.parametrize("written", ["5", "minute", "0/minute", "-1/minute", "5/fortnight", "5/", 5, None, "5/minute!"])
def test_other_texts_are_refused(written):
    with pytest.raises(ValueError, match="must be a rate such as 5/minute"):
        rate(written)
