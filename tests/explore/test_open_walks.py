"""Walks of long searches that break a rule, and are not mended yet: `pytest -m open`. docs/invariants.md lists them."""

import pytest

from tests.explore.findings import actions_of
from tests.explore.shrink import breaks

WALKS = {
    "a refused commit behind a clear": (
        ("openai", "session.update", "numeric ids"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 native-input~audio~buffer.clear fire-microphone "
            "native-input~audio~buffer.commit take-1-message refuse-1 speech-1 force"
        ),
    ),
}


@pytest.mark.open
@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
