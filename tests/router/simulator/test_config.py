"""The settings of a simulator, and the values that are refused."""

import pytest

from router.simulator.config import SimulatorConfig


@pytest.mark.parametrize(
    ("name", "value"), [("pace", -1), ("port", 70_000), ("chunk_ms", 0), ("key_refusals", {"x": "nonsense"})]
)
def test_a_bad_configuration_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        SimulatorConfig(**{name: value})


def test_every_setting_has_a_default_in_range():
    assert SimulatorConfig().port == 0
