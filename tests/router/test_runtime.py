"""The running parts of a router: their start, their end, and the judgement of recent dials."""

import threading
import time

import pytest

from actors import lifecycle
from actors.connector import Outcome
from router import RouterConfig, StartError
from router.runtime import DIALS_JUDGED, JUDGED_WITHIN_S, Runtime
from router.secrets import Secret

WAIT_S = 5.0
CONFIG = RouterConfig(upstream="ws://127.0.0.1:9/v1/realtime")


@pytest.fixture
def runtime():
    runtime = Runtime(CONFIG)
    yield runtime
    runtime.drain(0)
    runtime.stop()


def test_the_parts_start_once(runtime):
    assert runtime.start()
    assert not runtime.start()
    assert runtime.is_alive


def test_no_part_starts_again_after_a_stop(runtime):
    runtime.start()
    runtime.drain(0)
    runtime.stop()
    with pytest.raises(StartError, match="closed: make a new one"):
        runtime.start()
    assert not runtime.is_alive


def test_a_runtime_that_never_started_answers_with_the_default(runtime):
    assert runtime.ask(lifecycle.ListSessions(), default="none", timeout_s=WAIT_S) == "none"
    assert runtime.simulator_url == ""


@pytest.mark.slow
def test_without_dials_the_embedded_simulator_is_not_started():
    runtime = Runtime(RouterConfig())
    runtime.start(dials=False)
    assert runtime.simulator_url == ""
    runtime.start()
    assert runtime.simulator_url.startswith("ws://127.0.0.1:")
    runtime.stop()


def test_a_drain_waits_for_a_call_in_acceptance(runtime):
    runtime.start()
    entered, may_leave, drained = threading.Event(), threading.Event(), threading.Event()

    def accept():
        with runtime.entry() as supervisor:
            assert supervisor is not None
            entered.set()
            assert may_leave.wait(WAIT_S)

    caller = threading.Thread(target=accept)
    closer = threading.Thread(target=lambda: (runtime.drain(0), drained.set()))
    caller.start()
    assert entered.wait(WAIT_S)
    closer.start()
    assert not drained.wait(0.1)
    may_leave.set()
    assert drained.wait(WAIT_S)
    caller.join()
    closer.join()
    with runtime.entry() as supervisor:
        assert supervisor is None


@pytest.mark.parametrize(
    ("outcomes", "can_dial"),
    [
        ([], True),
        ([(0, False)], False),
        ([(0, False)] * DIALS_JUDGED, False),
        ([(0, True)] + [(0, False)] * (DIALS_JUDGED - 1), True),
        ([(0, True)] + [(0, False)] * DIALS_JUDGED, False),
        ([(0, False)] * DIALS_JUDGED + [(0, True)], True),
        ([(JUDGED_WITHIN_S + 1, False)] * DIALS_JUDGED, True),
    ],
)
def test_the_latest_dials_within_a_minute_decide_whether_an_upstream_can_be_dialled(runtime, outcomes, can_dial):
    now_s = time.monotonic()
    runtime._connector._recent.extend(Outcome(now_s - ago_s, is_ok) for ago_s, is_ok in outcomes)
    assert runtime.can_dial() is can_dial


def test_a_poller_that_there_is_not_stops_the_start_with_a_sentence(runtime, monkeypatch):
    monkeypatch.setenv("SWITCHBOARD_POLLER", "kqueue")
    with pytest.raises(StartError, match="SWITCHBOARD_POLLER must be"):
        runtime.start()
    monkeypatch.delenv("SWITCHBOARD_POLLER")
    assert runtime.start()


@pytest.mark.slow
def test_the_embedded_simulator_gets_its_voice_and_its_language_model():
    config = RouterConfig(
        simulator_voice=False,
        simulator_llm="http://127.0.0.1:9",
        simulator_llm_model="tiny",
        simulator_llm_key=Secret("key-of-the-model"),
    )
    runtime = Runtime(config)
    runtime.start()
    try:
        simulated = runtime._simulator.config
    finally:
        runtime.drain(0)
        runtime.stop()
    assert simulated.voice is False
    assert (simulated.llm.url, simulated.llm.model, simulated.llm.key) == (
        "http://127.0.0.1:9",
        "tiny",
        "key-of-the-model",
    )
    assert "key-of-the-model" in config.secrets
