"""Walks of long searches that break a rule, and are not mended yet: `pytest -m open`. docs/invariants.md lists them."""

import pytest

from tests.explore.findings import actions_of
from tests.explore.shrink import breaks

WALKS = {
    "an announced answer beside a request": (
        ("openai", "session.update", "only done"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 force stop-1 commit-1 frame own-1-done+only speech-1 "
            "run_well"
        ),
    ),
}


@pytest.mark.open
@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
