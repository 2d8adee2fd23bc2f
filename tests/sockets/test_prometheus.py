"""Debian's Prometheus scrapes the page, and its alerts fire on a faulty upstream alone."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from router.metrics import catalog
from router.simulator import Simulator, SimulatorConfig
from tests.sockets.test_counted import called
from tests.support.processes.children import RUN_PY, child
from tests.support.processes.scraping import program, prometheus

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "operations"
RULES = (FOLDER / "alerts.yml").read_text()
WAIT_S = 20.0

NAMES = {metric.name for metric in catalog.METRICS} | {"switchboard_build_info"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def hurried(rules):
    """Return the rules with windows of seconds, so that a test need not last for minutes."""
    return re.sub(r"\boffset \d+m", "offset 2s", re.sub(r"\[\d+[mh]\]", "[2s]", re.sub(r"for: \w+", "for: 0s", rules)))


@contextlib.contextmanager
def serving(upstream, **env):
    argv = (sys.executable, RUN_PY, "--port", "0", "--upstream", upstream)
    with child(*argv, env=env) as process:
        yield process.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1]


def test_the_rules_are_valid():
    checked = subprocess.run(
        [program("promtool"), "check", "rules", FOLDER / "alerts.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_page_follows_prometheus_s_rules():
    with Simulator() as simulator, serving(simulator.url) as address:
        called(address, "hello there")
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as response:
            page = response.read()
    checked = subprocess.run([program("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json"])
def test_each_metric_that_a_rule_or_a_panel_names_exists(name):
    named = set(re.findall(r"switchboard_\w+", (FOLDER / name).read_text()))
    named = {re.sub(r"_(bucket|count|sum)$", "", it) for it in named}
    assert named <= NAMES, named - NAMES
    assert len(named) > 5


def test_each_rule_names_the_next_step():
    assert RULES.count("- alert:") == RULES.count("todo:") == RULES.count("summary:")


def test_the_dashboard_has_a_panel_for_each_metric():
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    shown = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    assert [name for name in NAMES - {"switchboard_dispatcher_slices_total"} if name not in shown] == []


@pytest.mark.quiet
def test_native_histograms_arrive_where_prometheus_takes_them(tmp_path):
    native = "--enable-feature=native-histograms"
    with (
        Simulator() as simulator,
        serving(simulator.url) as address,
        prometheus(tmp_path, address, RULES, free_port(), native) as it,
    ):
        called(address, "hello there")
        count = 'histogram_count(switchboard_turn_seconds{phase="first_audio"})'
        deadline_s = time.monotonic() + 3 * WAIT_S
        while not it.value(count):
            assert time.monotonic() < deadline_s
        assert it.value(count) == 1
        median_s = it.value('histogram_quantile(0.5, switchboard_turn_seconds{phase="first_audio"})')
        mean_s = it.value('histogram_sum(switchboard_turn_seconds{phase="first_audio"})')
        assert median_s == pytest.approx(mean_s, rel=0.2)
        assert it.value("histogram_count(sum(switchboard_upstream_dial_seconds))") == 1
        assert it.value("sum(switchboard_sessions_total)") is not None
        assert it.value("switchboard_build_info") == 1


def test_alerts_fire_on_a_faulty_upstream_and_are_silent_on_a_healthy_one(tmp_path):
    refusing = SimulatorConfig(required_key="sk-the-right-one")
    with Simulator() as healthy, Simulator(refusing) as faulty:
        assert fired(tmp_path / "good", healthy.url, until={"none"}, for_s=6.0) == set()
        found = fired(tmp_path / "bad", faulty.url, until={"SwitchboardOperator", "SwitchboardCallsFail"}, for_s=WAIT_S)
        assert {"SwitchboardOperator", "SwitchboardCallsFail"} <= found
        assert "SwitchboardDown" not in found


def fired(folder, upstream, *, until, for_s):
    """Hold calls for a time, or until alerts have fired. Return the alerts that have."""
    folder.mkdir()
    found = set()
    key = "sk-a-wrong-one-0123456789"
    with (
        serving(upstream, OPENAI_API_KEY=key) as address,
        prometheus(folder, address, hurried(RULES), free_port()) as it,
    ):
        deadline_s = time.monotonic() + for_s
        while time.monotonic() < deadline_s and not until <= found:
            with contextlib.suppress(Exception):
                called(address, "hello there")
            found |= it.firing()
        assert it.value("sum(switchboard_sessions_total)") > 0
        assert it.value('up{job="switchboard"}') == 1
    return found
