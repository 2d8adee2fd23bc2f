"""Walks of long searches that break a rule, and are not mended yet: `pytest -m open`. docs/invariants.md lists them."""

import pytest

from tests.explore.findings import actions_of
from tests.explore.shrink import breaks

WALKS = {
    "a call, a failed transcript, and an upstream that falls silent": (
        ("openai", "session.update", "reused ids"),
        (
            "dialled-1 created-1 take-1-message say take-1-message take-1-message say frame take-1-message "
            "fail-1-incomplete speech-1 native-input~audio~buffer.commit stop-1 take-1-call commit-1 "
            "no_words-1-user~102- take-1-message fire-next~event run_well"
        ),
    ),
}


@pytest.mark.open
@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
