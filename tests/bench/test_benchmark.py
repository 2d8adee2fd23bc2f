"""The benchmark runs, measures, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.bench import attacked, attacker, kept, safe, soak
from tests.bench.speech import Shape
from tests.bench.stage import (
    DEEPGRAM,
    DEEPGRAM_RELAY,
    DIRECT,
    EVENTS_RELAY,
    ON_ASGI,
    ON_WSGI,
    REALTIME,
    RELAY,
    ROUTER,
    TWILIO,
    Stage,
    router,
    yardsticks,
)
from tests.bench.talking import row, talk
from tests.support.processes.further import first_and_further, further

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("short_talks")]

ROOT = Path(__file__).parents[2]
SHAPE = Shape()


YARDSTICKS = (DIRECT, RELAY, *yardsticks(), EVENTS_RELAY, DEEPGRAM_RELAY)


@pytest.mark.quiet
@pytest.mark.parametrize(
    "system",
    [
        *(ROUTER, REALTIME, DEEPGRAM, TWILIO),
        *map(further, (*YARDSTICKS, router("--workers", "2"), ON_WSGI, ON_ASGI)),
    ],
    ids=lambda it: it.name,
)
def test_two_sessions_are_carried_without_loss(system):
    with Stage(system, SHAPE) as stage:
        load = stage.callers(2)
        stage.await_sessions(2)
        found = row(stage, talk(stage, load, 2, 0.5), 2)

    assert found.lost == []
    assert found.messages == pytest.approx(60, abs=4), "2 sessions, 50 frames and 10 deltas a second, half a second"


@pytest.mark.quiet
def test_sessions_with_and_without_the_keeper_are_carried_without_loss():
    found = kept.measure(SHAPE, 0.3, sessions=2, laps=1)
    assert [row["lost"] for row in (*found["without"], *found["kept"])] == [[], []]


@pytest.mark.quiet
def test_a_session_with_a_credential_a_policy_and_limits_is_carried_without_loss():
    found = safe.measure(SHAPE, 0.3, sessions=2, laps=1)
    assert [row["lost"] for row in (*found["open"], *found["safe"])] == [[], []]


@pytest.mark.quiet
@pytest.mark.parametrize("kind", first_and_further({kind: kind for kind in attacker.ATTACKS}))
def test_callers_beside_an_attack_lose_nothing(kind):
    (found,) = attacked.measure(SHAPE, 0.5, [kind])
    assert found["lost"] == []
    assert found["connections"] > 0


@pytest.mark.exhaustive
def test_another_router_is_measured_where_it_runs(tmp_path):
    with Stage(RELAY, SHAPE) as stage:
        command = [sys.executable, "-m", "tests.bench", "--compare", stage.url, "--protocol", "openai"]
        flags = ["--stub-port", "0", "--sessions", "1", "--duration", "0.2", "--out", tmp_path, "--pid"]
        # Its upstream is the stub of this test: no session of it comes to the benchmark's own, and that is told.
        finished = subprocess.run(
            [*command, *flags, str(stage.root_pid)], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
        )

    assert finished.returncode == 1
    assert "it is not there at both ends" in finished.stderr
    assert "| 1 | other | void" in finished.stdout
    assert [it["system"] for it in orjson.loads((tmp_path / "figures.json").read_bytes())["talking"]] == [
        "direct",
        "relay",
        "other",
    ]
    assert (tmp_path / "figures.svg").read_text().startswith("<svg")


def test_a_soak_tells_of_every_lap(monkeypatch):
    monkeypatch.setattr(soak, "LAP_S", 0.5)
    monkeypatch.setattr(soak, "LEAST_LAPS", 2)
    monkeypatch.setattr(soak, "COMERS_PER_LAP", 3)
    lines = []

    laps = soak.measure(SHAPE, 0, lines.append)

    assert [lap.lost for lap in laps] == [[], []]
    assert [lap.calls for lap in laps] == [3, 6]
    assert len(lines) == 3
