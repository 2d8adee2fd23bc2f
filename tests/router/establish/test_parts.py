"""The parts of a router in one process: their start, their end, and the state that others ask for."""

import pytest

from router import RouterConfig, StartError
from router.config.model import Limits
from router.establish.parts import Parts
from router.hooks import Hooks
from router.metrics.catalog import STORE_AWAY


@pytest.fixture
def parts():
    """The parts of a router that dials nothing."""
    parts = Parts(RouterConfig(upstream="ws://nowhere.invalid", limits=Limits(max_sessions=4)), Hooks())
    yield parts
    parts.close(0.0)


def test_a_router_that_was_not_started_is_ready(parts):
    assert parts.readiness() == (True, "ready")


def test_a_router_whose_every_upstream_is_paused_is_not_ready(parts):
    parts.session_factory.switches.pause(0, is_paused=True)
    assert parts.readiness() == (False, "every upstream is paused")


def test_a_router_with_a_stalled_dispatcher_is_not_ready(parts, monkeypatch):
    parts.start(dials=False)
    monkeypatch.setattr("router.runtime.Runtime.is_alive", property(lambda _self: False))
    assert parts.readiness() == (False, "not running")


def test_a_router_that_was_closed_is_not_ready_and_does_not_start_again(parts):
    assert parts.start(dials=False)
    assert not parts.start(dials=False)
    parts.close(0.0)
    assert parts.readiness() == (False, "draining")
    with pytest.raises(StartError):
        parts.start(dials=False)
    parts.start_lazily(dials=False)


def test_the_load_is_the_used_part_of_the_fullest_limit(parts):
    assert parts.load() == 0.0
    ticket = parts.admission.admit(None, None)
    assert parts.load() == 0.25
    ticket.release()
    assert parts.load() == 0.0


def test_a_reset_forgets_the_sessions_and_the_counts_of_another_process(parts):
    parts.open.add("s1")
    parts.metrics.add(STORE_AWAY)
    former = parts.metrics
    parts.admission.admit(None, None)
    parts.reset()
    assert parts.open == set()
    assert parts.load() == 0.0
    assert parts.metrics is not former
