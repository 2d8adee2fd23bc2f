"""The arithmetic of the simulated fleet, and its table in the manual."""

import random
from pathlib import Path

import pytest

from tests.bench import fleet
from tests.bench.fleet import CALLS_PER_CORE, Fleet, brown_out, deploy, machines_for, outcomes, serve, zone_loss

SIZING = Path(__file__).parents[2] / "docs/deployment/sizing.md"


def rng():
    return random.Random(7)  # noqa: S311 - no secret


def test_the_manual_has_the_table():
    assert fleet.table() in SIZING.read_text(), fleet.table()


@pytest.mark.parametrize("calls", [1, 200, 1_000, 30_000, 100_000])
def test_the_machines_bear_the_loss_of_a_zone_during_a_deploy(calls):
    machines = machines_for(calls)
    assert machines % 3 == 0
    assert Fleet(calls, machines).less(machines // 3 + 1).holds >= calls
    assert Fleet(calls, machines - 3).less((machines - 3) // 3 + 1).holds < calls or machines == 3


def test_a_fleet_holds_and_starts_what_its_cores_do():
    ten = Fleet(1_000, 10, cores=4)
    assert ten.holds == 40 * CALLS_PER_CORE
    assert ten.starts_s == 40 * fleet.STARTS_PER_CORE_S
    assert (ten.less(4).holds, ten.less(4).calls) == (24 * CALLS_PER_CORE, 1_000)


def test_arrivals_below_the_rate_do_not_wait():
    peak, longest_s = serve([number / 10 for number in range(100)], 20.0)
    assert peak <= 11
    assert longest_s <= fleet.TICK_S


def test_arrivals_in_one_instant_wait_for_their_number_divided_by_the_rate():
    peak, longest_s = serve([0.0] * 1_000, 100.0)
    assert (peak, longest_s) == (1_000, pytest.approx(10.0, rel=0.05))


def test_without_arrivals_there_is_no_wait():
    assert serve([], 10.0) == (0.0, 0.0)


def test_an_idle_fleet_saves_up_no_starts():
    _, longest_s = serve([0.0, *[100.0] * 100], 10.0)
    assert longest_s == pytest.approx(10.0, rel=0.1)


def test_a_deploy_sends_the_calls_of_one_machine_at_a_time():
    outcome = deploy(Fleet(16_000, 16), rng())
    assert outcome.back == 16_000
    assert outcome.peak_s <= 1.3 * 1_000 / (fleet.DRAIN_S * 0.8) + 1
    assert outcome.is_borne


def test_a_zone_s_callers_find_place_on_the_machines_that_are_left():
    outcome = zone_loss(Fleet(9_000, 9), rng())
    assert outcome.back == 3_000
    assert outcome.load == 9_000 / (6 * 8 * CALLS_PER_CORE)
    assert outcome.is_borne


def test_a_fleet_that_is_too_small_does_not_bear_the_loss_of_a_zone():
    assert not zone_loss(Fleet(9_000, 6), rng()).is_borne


def test_a_brown_out_is_bounded_by_the_dials():
    outcome = brown_out(Fleet(9_000, 9), rng(), part=1.0, within_s=0.0)
    assert outcome.longest_wait_s == pytest.approx(9_000 / (72 * fleet.DIALS_PER_CORE_S), rel=0.1)


@pytest.mark.parametrize("calls", [1_000, 10_000])
def test_every_storm_stays_below_what_the_fleet_takes(calls):
    assert all(it.is_borne for it in outcomes(calls) if "upstream, in one instant" not in it.event)
