"""Walks of the longest search that break a rule, one of each kind: `pytest -m open` shows which are not mended yet.

`docs/invariants.md` lists them. A mended walk loses its row here, and its fault gets a test beside its handler.
"""

import pytest

from tests.explore.findings import actions_of
from tests.explore.shrink import breaks

WALKS = {
    "calls that the client answers": (
        ("openai", "settings", "numeric ids"),
        (
            "dialled-1 created-1 take-1-message say take-1-message take-1-message step-1-False step-1-False "
            "native-response.create step-1-False step-1-False step-1-False step-1-False take-1-both "
            "step-1-False step-1-False step-1-False step-1-False step-1-False step-1-False step-1-False "
            "native-response.create take-1-call step-1-False step-1-False step-1-False answer-call~103 "
            "fire-rollover dialled-2 frame created-2 answer-call~102 speech-1 take-2-message run_silent"
        ),
    ),
    "a call at a rollover": (
        ("converse", "settings", "reused ids"),
        (
            "dialled-1 created-1 take-1-message say take-1-message take-1-call step-1-False step-1-False "
            "step-1-False inject-queue take-1-message answer-call~101 other_id-1 step-1-True say "
            "fire-rollover take-1-message step-1-True dialled-2 created-2 step-1-True frame take-2-message "
            "step-1-True step-1-True step-1-True speech-1 run_silent"
        ),
    ),
}


@pytest.mark.open
@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
