"""Walks of long searches that break a rule, and are not mended yet: `pytest -m open`. docs/invariants.md lists them."""

import pytest

from tests.explore.findings import actions_of
from tests.explore.shrink import breaks

WALKS = {
    "a refusal that a standby upstream sends twice": (
        ("openai", "settings", "none"),
        (
            "dialled-1 created-1 take-1-message say take-1-message take-1-message fire-rollover dialled-2 created-2 "
            "take-2-message refuse-2 fire-next~event lost-1 repeat-2 run_well"
        ),
    ),
}


@pytest.mark.open
@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
