"""The benchmark of planned moves, in small; `python -m tests.bench.moves` has a thousand."""

import statistics
import sys

import pytest

from tests.bench import moves, numbered
from tests.bench.moves import Figures, Run, complaints

CALLERS = 5
DIAL_S = 1.0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_no_frame_is_lost_at_a_move_and_no_microphone_waits_for_a_dial(monkeypatch):
    monkeypatch.setattr(moves, "QUIET_S", 0.0)
    figures = Run(CALLERS, CALLERS, DIAL_S, workers=1).measure()
    assert figures.moves == CALLERS, figures
    assert (figures.missing, figures.lost_sessions, figures.closes, figures.told) == (0, 0, 0, {}), figures
    assert figures.frames > CALLERS
    assert statistics.median(figures.pauses_ms) < DIAL_S * 1000 / 2, figures


def test_each_fault_is_a_complaint():
    good = {"moves": 2, "pauses_ms": [40.0, 41.0], "quiet_pauses_ms": [20.0], "silence_ms": 30.0}
    assert list(complaints(Figures(**good))) == []
    assert "2 moves" in str(Figures(**good))
    assert "none" in str(Figures())
    for fault in (
        {"missing": 1},
        {"lost_sessions": 1},
        {"closes": 1},
        {"told": {"SESSION_RECOVERED": 1}},
        {"silence_ms": 90.0},
        {"pauses_ms": [90.0, 91.0]},
    ):
        assert len(list(complaints(Figures(**{**good, **fault})))) == 1, fault


def test_frames_count_over_all_connections_of_a_caller():
    heard = numbered.Heard()
    heard.take(numbered.frame(0) + numbered.frame(1)[:100], 1.0)
    heard.take(numbered.frame(1)[100:], 1.02)
    heard.take(numbered.frame(3), 1.12)
    heard.take(numbered.frame(1), 2.0)
    heard.take(numbered.frame(3), 2.5, 2)
    heard.take(numbered.frame(4), 2.62, 2)
    report = heard.report()
    assert (report["frames"], report["missing"]) == (4, 1)
    assert [round(length_s, 2) for _, length_s in report["pauses"]] == [0.12, 1.5]
    assert [round(length_s, 2) for length_s in report["switches"]] == [1.5]
