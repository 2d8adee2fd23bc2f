"""Walks of long searches that break a rule, and are not mended yet: `pytest -m open`."""

import pytest

from tests.explore.findings import actions_of
from tests.explore.shrink import breaks

WALKS = {
    "a function is called in a cut answer to speech behind an unannounced call": (
        ("converse", "settings", "no created"),
        (
            "dialled-1 created-1 take-1-message think inject-default refuse-1 say take-1-message take-1-message "
            "step-1-True step-1-True step-1-True step-1-True frame take-1-message take-1-call+first step-1-False "
            "answer-call~102 speech-1 stop-1 commit-1 own-1-call frame speech-1 step-1-False run_silent"
        ),
    ),
}


@pytest.mark.open
@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
