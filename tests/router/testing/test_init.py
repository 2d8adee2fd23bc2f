"""The pytest plugin: its fixtures, and the names of the version before."""

import pytest

from router import testing
from router.testing import CallHarness


def test_every_public_name_is_there():
    assert {name for name in testing.__all__ if hasattr(testing, name)} == set(testing.__all__)
    with pytest.raises(AttributeError, match="Switchbord"):
        _ = testing.Switchbord


def test_the_former_name_of_the_harness_is_accepted_with_a_warning():
    with pytest.warns(DeprecationWarning, match="router.testing.Switchboard is called CallHarness now") as caught:
        assert testing.Switchboard is CallHarness
    assert caught[0].filename == __file__, "the warning points at the test"


def test_the_fixtures_give_a_harness_a_simulator_and_a_probe(switchboard, simulator, probe):
    switchboard.call(simulator=simulator).client.start()
    assert probe.received == []
