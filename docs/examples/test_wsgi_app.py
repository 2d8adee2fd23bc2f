"""The application's own tests of its calls: in memory."""

from collections.abc import Iterator

import pytest
import wsgi_app

from router.simulator import Simulator
from router.testing import CallHarness


@pytest.fixture(scope="module", autouse=True)
def router_closed_at_the_end() -> Iterator[None]:
    """Close the router, so that no thread is left behind."""
    yield
    wsgi_app.router.close(drain_s=0)


def test_a_caller_is_answered(simulator: Simulator) -> None:
    """Hold a whole call, with the simulator for the model."""
    with CallHarness(wsgi_app.router) as harness:
        call = harness.call("converse", simulator=simulator)
        call.client.start()
        call.client.say("hello there")
        call.client.wait_for("AgentAudioDone")
