"""The benchmark runs, measures, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

BENCH = Path(__file__).parent


@pytest.mark.parametrize("system", ["direct", "relay", "router"])
def test_two_sessions_are_carried_without_loss(tmp_path, system):
    report = tmp_path / "figures.json"
    command = [sys.executable, BENCH, "--only", system, "--sessions", "2", "--duration", "0.5", "--json", report]

    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 0, finished.stderr
    (row,) = orjson.loads(report.read_bytes())["rows"]
    assert row["lost"] == []
    assert row["messages"] == pytest.approx(60, abs=4), "2 sessions, 50 frames and 10 deltas a second, half a second"
    assert f"| 2 | {system} |" in finished.stdout
