"""The price table: the one that ships, and the configuration's numbers over it."""

import pytest

from router.config.model import RouterConfig
from router.translation import listening
from router.usage import prices
from router.usage.prices import Price, PriceTable
from router.usage.tokens import Measured, TokenKind

TOKENS = Measured(
    {
        TokenKind("text", "input"): 1_000_000,
        TokenKind("text", "input", cached=True): 1_000_000,
        TokenKind("audio", "input"): 500_000,
        TokenKind("audio", "output"): 250_000,
    }
)


def test_the_models_of_the_default_configuration_have_a_price():
    table, config = prices.shipped(), RouterConfig()
    assert table.find(config.model).text_input == 4.0
    assert table.find(config.transcription_model).audio_minute == 0.017


@pytest.mark.parametrize("model", ["gpt-realtime", "gpt-realtime-1.5", "gpt-realtime-2", "gpt-realtime-2.1"])
def test_a_realtime_model_has_every_price_of_a_token(model):
    price = prices.shipped().find(model)
    assert all(getattr(price, name) is not None for name in prices.FIELDS if name != "audio_minute")


def test_each_transcription_model_that_takes_key_terms_has_a_price():
    for name, _ in listening._KEY_TERMS:
        if not name.endswith("diarize"):
            assert prices.shipped().find(name), name


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-realtime-2025-08-28", "gpt-realtime"),
        ("azure/gpt-realtime-mini-2025-12-15", "gpt-realtime-mini"),
        ("gpt-realtime-2-1", "gpt-realtime-2.1"),
        ("whisper", "whisper-1"),
    ],
)
def test_a_snapshot_and_a_usual_name_of_azure_have_the_price_of_their_model(name, model):
    assert prices.shipped().find(name) is prices.shipped().find(model)


def test_the_cost_is_the_sum_of_each_kind_at_its_price():
    assert prices.shipped().find("gpt-realtime").cost_usd(TOKENS) == pytest.approx(4.0 + 0.4 + 16.0 + 16.0)


def test_transcribed_audio_costs_by_the_minute():
    assert prices.shipped().find("whisper-1").cost_usd(Measured({}, 90.0)) == pytest.approx(0.009)


def test_cached_input_without_a_price_of_its_own_costs_as_much_as_other_input():
    assert Price(text_input=2.0).cost_usd(TOKENS) == pytest.approx(4.0)


def test_an_override_replaces_its_numbers_alone():
    table = prices.shipped().over(prices.overrides({"gpt-realtime": {"text_input": 1}}))
    price = table.find("gpt-realtime")
    assert (price.text_input, price.audio_output) == (1.0, 64.0)
    assert prices.shipped().find("gpt-realtime").text_input == 4.0


def test_a_deployment_may_have_the_prices_of_a_model_and_numbers_of_its_own():
    written = {"mine": {"same_as": "gpt-realtime-mini", "audio_output": 21}}
    price = prices.shipped().over(prices.overrides(written)).find("mine")
    assert (price.audio_input, price.audio_output) == (10.0, 21.0)


def test_a_deployment_may_have_the_prices_of_a_model_of_the_same_table():
    table = prices.shipped().over(prices.overrides({"a": {"same_as": "b"}, "b": {"text_input": 3.0}}))
    assert table.find("a") == Price(text_input=3.0)


def test_a_part_without_a_price_is_lacking():
    measured = Measured({TokenKind("audio", "output", cached=False): 5})
    assert Price(text_input=1.0).lacks(measured)
    assert not Price(audio_output=1.0).lacks(measured)
    assert Price(text_input=1.0).lacks(Measured({}, 3.0))


def test_an_unknown_model_has_no_price():
    assert PriceTable({}).find("gpt-realtime") is None


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ([], "must be tables"),
        ({"m": 3}, "must be tables"),
        ({"m": {"text_in": 3}}, "unknown key text_in"),
        ({"m": {"text_input": -1}}, "0 or more for text_input"),
        ({"m": {"text_input": True}}, "0 or more"),
        ({"m": {"text_input": float("nan")}}, "0 or more"),
        ({"m": {"same_as": 3}}, "unknown key same_as"),
        ({"m": {"same_as": "gpt-realtme"}}, "no prices of gpt-realtme"),
        ({"m": {"same_as": "n"}, "n": {"same_as": "gpt-realtime"}}, "a same_as itself"),
        ({"m": {}}, "no price for m"),
    ],
)
def test_an_invalid_override_is_refused_with_its_key(written, problem):
    with pytest.raises(ValueError, match=problem):
        prices.overrides(written)


def test_an_override_that_was_read_already_is_taken_as_it_is():
    assert prices.overrides({"m": Price(text_input=1.0)}) == {"m": Price(text_input=1.0)}
