"""Recordings of the calls of these tests: the replay of each one is exact."""

import pytest

from router.fronts.failover.value import MovableCall
from tests.support.machine.recorded import recorded_tests


def _of_parts(machine, parts, memory):
    if memory:
        return None
    name = "deepgram" if parts.begins_relayed else parts.session.context.profile.name
    plan = {"deepgram_position": parts.deepgram_position}
    return machine, parts.session, {"front": name, "failover": plan}


@pytest.fixture(autouse=True)
def recordings_are_exact(request):
    """Record the machines of a test, and replay their inputs when it has passed."""
    with recorded_tests(request, {MovableCall: _of_parts}):
        yield
