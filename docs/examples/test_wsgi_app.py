"""The application's own tests of its calls: in memory."""

from collections.abc import Iterator

import pytest
import wsgi_app

from router.simulator import Simulator
from router.testing import CallHarness


@pytest.fixture(scope="module", autouse=True)
def closed_in_the_end() -> Iterator[None]:
    """Leave no thread behind."""
    yield
    wsgi_app.router.close(drain_s=0)


def test_a_caller_is_answered(simulator: Simulator) -> None:
    """A whole call, with the simulator for the model."""
    with CallHarness(wsgi_app.router) as board:
        call = board.call("converse", simulator=simulator)
        call.client.start()
        call.client.say("hello there")
        call.client.wait_for("AgentAudioDone")
