"""The sums of a session: tokens by model, seconds, and the cost of all."""

import pytest

from router.usage import prices
from router.usage.tokens import Measured, TokenKind
from router.usage.totals import Entry, Totals

TEXT, CACHED = TokenKind("text", "input"), TokenKind("text", "input", cached=True)
OUT = TokenKind("audio", "output")


def filled():
    totals = Totals()
    totals.add("gpt-realtime", Measured({TEXT: 10, CACHED: 64}))
    totals.add("gpt-realtime", Measured({TEXT: 5, OUT: 20}))
    totals.add("whisper-1", Measured({}, 30.0))
    totals.add("unheard-of", Measured({OUT: 7}))
    return totals


def test_the_tokens_of_a_kind_and_model_are_added():
    assert filled().entries() == [
        Entry("gpt-realtime", "text", "input", False, 15),
        Entry("gpt-realtime", "text", "input", True, 64),
        Entry("gpt-realtime", "audio", "output", False, 20),
        Entry("unheard-of", "audio", "output", False, 7),
    ]


def test_cached_tokens_count_as_input():
    assert (filled().count("input"), filled().count("output")) == (79, 27)


def test_seconds_are_listed_for_models_that_have_some():
    assert filled().seconds() == {"whisper-1": 30.0}


def test_a_model_without_a_price_costs_nothing():
    costs = filled().costs_usd(prices.shipped())
    assert costs == pytest.approx(
        {"gpt-realtime": (15 * 4 + 64 * 0.4 + 20 * 64) / 1e6, "whisper-1": 0.003, "unheard-of": 0.0}
    )
    assert filled().cost_usd(prices.shipped()) == pytest.approx(sum(costs.values()))
