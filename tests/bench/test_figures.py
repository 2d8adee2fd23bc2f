"""The benchmark's own arithmetic: nothing that goes wrong may pass for a figure."""

import dataclasses
import math

import pytest

from tests.bench import figures, speech

MS = 1_000_000
ROUTER_WIRE = figures.Wire(frame_bytes=960, held_back_bytes=72)
WHOLE_RUN = range(1000 * MS)


def a_caller(**changes):
    caller = {
        "number": 0,
        "is_open": True,
        "frames_before": 0,
        "sent_ns": [0, 20 * MS],
        "heard_bytes": 4800,
        "damaged": 0,
        "agent_sent_ns": [5 * MS],
        "agent_took_ns": [2 * MS],
    }
    return caller | changes


def a_session(**changes):
    session = {"number": 0, "heard_bytes": 1848, "spoken_bytes": 4800, "arrivals": [888, 1 * MS, 1848, 23 * MS]}
    return session | changes


def a_row(**changes):
    row = figures.Row(
        system="router",
        sessions=100,
        messages=1,
        cpu_us_per_message=30.0,
        agent_p50_ms=1.0,
        agent_p99_ms=2.0,
        microphone_p50_ms=1.0,
        microphone_p99_ms=2.0,
        memory_kb_per_session=40.0,
        late_p99_ms=0.1,
        other_cores=0.0,
        lost=[],
    )
    return dataclasses.replace(row, **changes)


def test_what_the_filter_may_hold_back_is_no_loss():
    assert figures.losses([a_caller()], [a_session()], ROUTER_WIRE) == []


@pytest.mark.parametrize(
    ("caller", "session", "loss"),
    [
        ({}, {"heard_bytes": 1846}, "microphone: 1846 of 1848 to 1920 bytes"),
        ({}, {"heard_bytes": 1922}, "microphone: 1922 of 1848 to 1920 bytes"),
        ({"frames_before": 1}, {}, "microphone: 1848 of 2808 to 2880 bytes"),
        ({"heard_bytes": 0}, {}, "agent audio: 0 of 4800 bytes"),
        ({"damaged": 1}, {}, "1 pieces damaged or out of order"),
        ({"is_open": False}, {}, "the connection was closed"),
    ],
)
def test_whatever_goes_missing_is_a_loss(caller, session, loss):
    (sentence,) = figures.losses([a_caller(**caller)], [a_session(**session)], ROUTER_WIRE)

    assert sentence.startswith("session 0: ")
    assert loss in sentence


def test_a_session_that_only_one_end_knows_is_a_loss():
    found = figures.losses([a_caller(), a_caller(number=1)], [a_session(), a_session(number=2)], ROUTER_WIRE)

    assert found == ["session 1: it is not there at both ends", "session 2: it is not there at both ends"]


def test_a_frame_has_arrived_when_its_position_has():
    """The second frame ends at byte 1920; all of it but the filter's 72 came at 23 ms, 3 after it was sent."""
    latencies = figures.microphone_latencies([a_caller()], [a_session()], WHOLE_RUN, ROUTER_WIRE)

    assert latencies == [1.0, 3.0]


def test_positions_go_on_from_lap_to_lap():
    caller = a_caller(frames_before=1, sent_ns=[20 * MS])
    session = a_session(arrivals=[1848, 23 * MS])

    assert figures.microphone_latencies([caller], [session], WHOLE_RUN, ROUTER_WIRE) == [3.0]


def test_only_what_was_sent_in_the_window_counts():
    window = range(4 * MS, 10 * MS)

    assert figures.agent_latencies([a_caller()], window) == [2.0]
    assert figures.microphone_latencies([a_caller()], [a_session()], window, ROUTER_WIRE) == []
    assert figures.count_messages([a_caller()], window) == 1


def test_a_percentile_is_the_nearest_rank():
    assert figures.percentile(range(1, 101), 0.99) == 99
    assert figures.percentile([7.0], 0.5) == 7.0
    assert math.isnan(figures.percentile([], 0.5))


def test_who_falls_behind_has_no_cost_per_message():
    assert figures.cpu_us_per_message(90_000, 3, [1.0, 2.0]) == 30.0
    assert figures.cpu_us_per_message(90_000, 3, [1.0, 900.0]) is None
    assert figures.cpu_us_per_message(90_000, 0, []) is None


def test_a_busy_machine_makes_the_figures_doubtful():
    rows = [a_row(other_cores=0.5), a_row(late_p99_ms=6.0), a_row(agent_p99_ms=900.0), a_row()]

    assert len(list(figures.warnings(rows))) == 3


def test_an_ear_knows_its_voice():
    voice, ear = speaking(3), speech.Ear(3, speech.Shape())

    for _ in range(2):
        ear.hear_event(voice.delta())

    assert (ear.heard_bytes, ear.damaged, ear.lap_bytes) == (9600, 0, 9600)
    ear.begin_lap()
    assert (ear.heard_bytes, ear.lap_bytes) == (9600, 0)


def test_an_ear_notices_another_session_a_gap_and_damage():
    stranger, gap, damage = speaking(4), speaking(3), speaking(3)
    gap.delta()
    heard = [speech.Ear(3, speech.Shape()) for _ in range(3)]

    heard[0].hear_event(stranger.delta())
    heard[1].hear_event(gap.delta())
    heard[2].hear_event(damage.delta()[:-10] + b'AAAAAAAA"}')

    assert [ear.damaged for ear in heard] == [1, 1, 1]


def speaking(session):
    """A voice that has begun."""
    voice = speech.Voice(session, speech.Shape())
    voice.opening()
    return voice


def test_the_difference_of_two_samples_has_an_interval_that_contains_it():
    theirs = [[number / 1000 + lap / 10 for number in range(300)] for lap in range(6)]
    mine = [[1.0 + value for value in lap] for lap in theirs]
    more, low, high = figures.difference(mine, theirs, 0.99)
    assert (more, low, high) == pytest.approx((1.0, 1.0, 1.0))


def test_a_single_slow_call_of_a_thousand_changes_no_difference():
    theirs = [[1.0] * 500] * 2
    assert figures.difference([[1.0] * 500, [*[1.0] * 500, 90.0]], theirs, 0.99) == (0.0, 0.0, 0.0)


def test_a_lap_on_a_slow_machine_widens_the_interval():
    _more, low, high = figures.difference([[1.0] * 300] * 3, [[1.0] * 300, [1.0] * 300, [9.0] * 300], 0.99)
    assert (low, high) == (-8.0, 0.0)
