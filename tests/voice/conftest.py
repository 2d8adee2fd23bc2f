"""A simulator that hears and speaks, for all tests of a module: each start of its processes reads two models."""

import pytest

from tests.support.clients.speech import Speech, speaking_simulator


@pytest.fixture(scope="module")
def voiced():
    """Run the simulator and its processes."""
    with speaking_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(voiced):
    """The simulator, without any fault that an earlier test left."""
    yield voiced
    voiced.clear_faults()


@pytest.fixture(scope="module")
def speech(voiced):
    """The simulator's own libraries, as a caller's voice and ears."""
    return Speech(voiced.services)
