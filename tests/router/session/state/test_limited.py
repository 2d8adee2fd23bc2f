"""The use of what a session has limits for."""

import operator

import pytest

from router.session.reports import Usage
from router.session.state.limited import (
    CALL,
    COST,
    COST_TODAY,
    SILENCE,
    TOKENS,
    TOKENS_TODAY,
    TURNS,
    TURNS_TODAY,
    Limited,
    Spending,
)
from router.usage.prices import Price, PriceTable
from tests.support.machine.options import session_options

PRICES = PriceTable({"known": Price(text_input=1.0, text_output=2.0, audio_minute=0.6)})


def usage(model="known", **details):
    return Usage(kind="response", id="resp_1", model=model, status="completed", details=details)


def spending(**options):
    return Spending(session_options(price_table=PRICES, **options))


def test_tokens_and_money_add_up_to_shares_of_their_limits():
    used = spending(max_tokens=1000, max_cost_usd=0.001)
    used.add(usage(input_tokens=100, output_tokens=100, total_tokens=200))
    used.add(usage(input_tokens=100, output_tokens=100))
    assert used.tokens == 400
    assert used.cost_usd == pytest.approx(0.0006)
    assert dict(used.shares()) == {TOKENS: 0.4, COST: pytest.approx(0.6)}


def test_a_transcript_costs_its_duration():
    used = spending(max_cost_usd=1.0)
    used.add(usage(type="duration", seconds=30))
    assert (used.tokens, used.cost_usd) == (0, pytest.approx(0.3))


def test_a_model_without_a_price_costs_nothing_and_its_tokens_count():
    used = spending(max_tokens=10, max_cost_usd=1.0)
    used.add(usage("unknown", total_tokens=5))
    assert dict(used.shares()) == {TOKENS: 0.5, COST: 0.0}


def test_without_limits_the_shares_stay_at_zero():
    used = Limited(session_options()).spending
    used.add(usage(total_tokens=10**9))
    assert (used.is_limited, dict(used.shares())) == (False, {})


def test_turns_have_a_share_of_their_limit():
    used = spending(max_turns=4)
    used.turns += 3
    assert (used.is_limited, dict(used.shares())) == (True, {TURNS: 0.75})


def test_the_sums_of_a_day_are_those_of_all_sessions_of_the_client():
    sums = [90, 0.5, 3]

    def spend(*spent):
        sums[:] = map(operator.add, sums, spent)
        return tuple(sums)

    used = spending(max_tokens_per_day=200, max_cost_usd_per_day=1.0, max_turns_per_day=8, spend_today=spend)
    assert used.is_limited
    used.add(usage(output_tokens=10, total_tokens=10))
    used.add_turn()
    shares = {TOKENS_TODAY: 0.5, COST_TODAY: pytest.approx(0.50002), TURNS_TODAY: 0.5}
    assert (dict(used.shares()), used.turns) == (shares, 1)


def test_a_call_that_another_machine_continues_has_the_rest_of_its_time():
    limited = Limited(session_options(max_call_s=100.0, max_silence_s=50.0))
    tuple(limited.begin(1000.0))
    limited.note_user(1020.0)
    assert [(it.limit, it.again_s) for it in limited.resume(1030.0)] == [(CALL, 50.0), (SILENCE, 30.0)]
    limited.warned_of |= {CALL.code}
    assert [it.again_s for it in limited.resume(1200.0)] == [0.0, 0.0]
    assert list(Limited(session_options()).resume(1.0)) == []
