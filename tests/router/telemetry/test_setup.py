"""The provider of spans, and its absence."""

import subprocess
import sys
from pathlib import Path

import pytest

from router.config.model import RouterConfig
from router.core import Router
from router.errors import ConfigError
from router.telemetry import setup
from router.testing import CallHarness
from tests.support.processes.children import child

ROOT = Path(__file__).resolve().parents[3]

FORK = """
import os
from router.core import Router  # before OpenTelemetry, whose imports register hooks of their own

router = Router(otel="http://127.0.0.1:1").start()
pid = os.fork()
if pid == 0:
    router.start()
    router.close()
    os._exit(0)
print("the child ended with", os.waitpid(pid, 0)[1], flush=True)
router.close()
"""


def test_without_the_setting_there_is_no_tracing():
    assert setup.ProcessTracing(RouterConfig()).get() is None


@pytest.mark.slow
def test_without_the_setting_nothing_of_opentelemetry_is_imported():
    code = "import sys; from router import Router; Router(); print([it for it in sys.modules if 'opentelemetry' in it])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"


def test_a_missing_extra_stops_the_start_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'switchboard-voice\[otel\]'"):
        Router(otel="http://127.0.0.1:4318")


def test_a_parent_package_that_is_missing_counts_as_missing(monkeypatch):
    def fail(_name):
        raise ModuleNotFoundError

    monkeypatch.setattr(setup.importlib.util, "find_spec", fail)
    with pytest.raises(ConfigError, match="otel"):
        setup.ProcessTracing(RouterConfig(otel="http://127.0.0.1:4318"))


def test_the_provider_of_the_host_is_used():
    pytest.importorskip("opentelemetry")
    tracing = setup.ProcessTracing(RouterConfig(otel="application"))
    assert tracing.get() is not None
    assert tracing.get() is tracing.get()
    tracing.close()


@pytest.mark.slow
def test_spans_reach_a_collector_and_the_end_of_the_router_sends_the_last():
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from tests.support.processes.http_endpoint import Endpoint  # noqa: PLC0415 - beside what it needs

    with Endpoint() as collector:
        with CallHarness(otel=collector.origin) as harness:
            call = harness.call()
            call.hang_up()
            while harness.router.session_count:
                harness.router.sessions()
            harness.router.close()
        paths = {path for _, path, _, _ in collector.requests}
        assert paths == {"/v1/traces"}
        assert b"invoke_agent" in collector.requests[0][3]


@pytest.mark.slow
def test_the_child_of_a_fork_waits_for_no_lock_of_opentelemetry():
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with child(sys.executable, "-c", FORK, env={"PYTHONPATH": str(ROOT)}) as process:
        process.wait_for("the child ended with 0", timeout_s=30)
