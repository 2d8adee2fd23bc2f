"""The benchmark's own arithmetic: nothing that goes wrong may pass for a figure."""

import dataclasses
import math

import figures
import pytest
import speech

MS = 1_000_000
ROUTER_WIRE = figures.Wire(frame_bytes=960, held_back_bytes=72)
WHOLE_RUN = range(1000 * MS)


def a_caller(**changes):
    caller = {
        "is_open": True,
        "sent_ns": [0, 20 * MS],
        "heard_bytes": 4800,
        "damaged": 0,
        "latencies": [(5 * MS, 2 * MS)],
    }
    return caller | changes


def a_session(**changes):
    return {"heard_bytes": 1848, "spoken_bytes": 4800, "arrivals": [888, 1 * MS, 1848, 23 * MS]} | changes


def a_row(**changes):
    row = figures.Figures(
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
        ({"heard_bytes": 0}, {}, "agent audio: 0 of 4800 bytes"),
        ({"damaged": 1}, {}, "1 pieces damaged or out of order"),
        ({"is_open": False}, {}, "the connection was closed"),
    ],
)
def test_whatever_goes_missing_is_a_loss(caller, session, loss):
    (sentence,) = figures.losses([a_caller(**caller)], [a_session(**session)], ROUTER_WIRE)

    assert sentence.startswith("session 0: ")
    assert loss in sentence


def test_a_frame_has_arrived_when_its_position_has():
    """The second frame ends at byte 1920; all of it but the filter's 72 came at 23 ms, 3 after it was sent."""
    latencies = figures.microphone_latencies([a_caller()], [a_session()], WHOLE_RUN, ROUTER_WIRE)

    assert latencies == [1.0, 3.0]


def test_only_what_was_sent_in_the_window_counts():
    window = range(4 * MS, 10 * MS)

    assert figures.agent_latencies([a_caller()], window) == [2.0]
    assert figures.microphone_latencies([a_caller()], [a_session()], window, ROUTER_WIRE) == []
    assert figures.count_messages([a_caller()], window) == 1


def test_a_percentile_is_the_nearest_rank():
    assert figures.percentile(range(1, 101), 0.99) == 99
    assert figures.percentile([7.0], 0.5) == 7.0
    assert math.isnan(figures.percentile([], 0.5))


def test_a_loss_always_fails_and_a_bound_only_when_checked():
    relay = a_row(system="relay", cpu_us_per_message=10.0)
    slow = a_row(agent_p99_ms=26.0)
    lossy = a_row(lost=["session 0: gone"])

    assert figures.complaints([relay, slow], check=False) == []
    assert figures.complaints([lossy], check=False) == ["router, 100 sessions: session 0: gone"]
    assert figures.complaints([relay, slow], check=True) == [
        "CPU per message is 3.00 times the relay's; at most 2 times is allowed",
        "p99 of the agent's audio is 26.0 ms; at most 25 ms is allowed",
    ]


def test_bounds_are_judged_under_the_highest_load():
    assert figures.complaints([a_row(sessions=50, agent_p99_ms=99.0), a_row()], check=True) == []


def test_a_busy_machine_makes_the_figures_doubtful():
    assert len(list(figures.warnings([a_row(other_cores=0.5), a_row(late_p99_ms=6.0), a_row()]))) == 2


def test_the_table_compares_each_router_with_its_relay():
    table = figures.table([a_row(), a_row(system="relay", cpu_us_per_message=20.0), a_row(sessions=1)])

    assert "| 100 | router : relay | 1.50 |" in table
    assert table.count("router : relay") == 1


def test_an_ear_knows_its_voice():
    voice, ear = speech.Voice(3), speech.Ear(3)

    for _ in range(2):
        ear.hear_event(voice.delta())

    assert (ear.heard_bytes, ear.damaged, len(ear.latencies)) == (9600, 0, 2)


def test_an_ear_notices_another_session_a_gap_and_damage():
    stranger, gap, damage = speech.Voice(4), speech.Voice(3), speech.Voice(3)
    gap.delta()
    heard = [speech.Ear(3) for _ in range(3)]

    heard[0].hear_event(stranger.delta())
    heard[1].hear_event(gap.delta())
    heard[2].hear_event(damage.delta()[:-10] + b'AAAAAAAA"}')

    assert [ear.damaged for ear in heard] == [1, 1, 1]
