"""The turn benchmark: its arithmetic, and that it runs."""

import pytest

from tests.bench import turn
from tests.bench.turn import ROOT, Cost, Ratio


def costs(*messages):
    return [Cost(frame=0.0, delta=0.0, message=each) for each in messages]


def test_a_message_costs_the_mean_of_five_frames_and_one_delta():
    rounds = [(5 * 20_000, 32_000)] * 10

    assert turn.cost(rounds, sessions=1) == Cost(frame=20.0, delta=32.0, message=22.0)


def test_the_cost_of_messages_that_come_together_is_that_of_one():
    assert turn.cost([(5 * 80_000, 128_000)], sessions=4) == Cost(frame=20.0, delta=32.0, message=22.0)


def test_a_disturbed_round_changes_no_cost():
    quiet = [(100_000, 20_000)] * 8
    assert turn.cost([*quiet, (900_000, 20_000), (100_000, 800_000)], 1) == turn.cost(quiet, 1)


def test_the_same_code_has_the_ratio_one():
    laps = [costs(20.0, 21.0, 40.0)] * 8
    assert turn.ratio(laps, laps) == Ratio(1.0, 1.0, 1.0)


def test_a_slow_moment_of_the_machine_meets_both_checkouts_and_changes_no_ratio():
    ours = [costs(18.0, 36.0, 18.0)] * 8
    theirs = [costs(20.0, 40.0, 20.0)] * 8
    assert turn.ratio(ours, theirs) == Ratio(0.9, 0.9, 0.9)


def test_the_interval_leaves_out_the_outermost_start_on_either_side():
    theirs = [costs(10.0)] * 8
    ours = [costs(each) for each in (1.0, 9.0, 9.8, 10.0, 10.0, 10.2, 11.0, 99.0)]
    assert turn.ratio(ours, theirs) == Ratio(1.0, 0.9, 1.1)


def test_of_few_starts_the_interval_is_all_of_them():
    assert turn.ratio([costs(1.0), costs(3.0)], [costs(1.0), costs(1.0)]) == Ratio(2.0, 1.0, 3.0)


@pytest.mark.slow
def test_two_checkouts_with_and_without_a_keeper_are_measured_by_turns():
    ours, theirs = turn.measure([(ROOT, ()), (ROOT, ("--kept",))], 2, starts=1, laps=2, rounds=3)

    assert [len(laps) for laps in (*ours, *theirs)] == [2, 2]
    assert all(lap.frame > 0 and lap.delta > 0 for lap in (*ours[0], *theirs[0]))


@pytest.mark.slow
def test_relaying_and_translating_are_measured_by_turns():
    relayed, translated = turn.measure([(ROOT, turn.RELAYED), (ROOT, turn.TRANSLATED)], 1, starts=1, laps=1, rounds=3)

    assert all(lap.frame > 0 and lap.delta > 0 for lap in (*relayed[0], *translated[0]))


@pytest.mark.slow
def test_turns_without_the_caches_take_longer():
    cold, hot = turn.measure([(ROOT, ("--cold",)), (ROOT, ())], 8, starts=1, laps=3, rounds=5)

    assert min(lap.message for lap in cold[0]) > min(lap.message for lap in hot[0])


@pytest.mark.slow
def test_a_process_that_has_ended_is_an_error_and_no_figure(tmp_path):
    with pytest.raises(RuntimeError, match="has ended"):
        turn.measure([(tmp_path, ())], 1, starts=1, laps=1, rounds=1)
