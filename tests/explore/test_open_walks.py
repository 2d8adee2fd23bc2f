"""Walks of the longest search that break a rule, one of each kind: `pytest -m open` shows which are not mended yet.

`docs/invariants.md` lists them. A mended walk loses its row here, and its fault gets a test beside its handler.
"""

import pytest

from tests.explore.findings import actions_of
from tests.explore.shrink import breaks

WALKS = {
    "a refused commit by hand": (
        ("openai", "settings", "none"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 force stop-1 speech-1 "
            "native-input~audio~buffer.commit drop-1 refuse-1"
        ),
    ),
    "two requests behind an own call": (
        ("openai", "settings", "none"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 force stop-1 say native-response.cancel "
            "commit-1 own-1-call update run_well"
        ),
    ),
    "a commit behind a late answer": (
        ("openai", "session.update", "reused ids"),
        (
            "dialled-1 created-1 take-1-message say take-1-message take-1-message fire-next~event "
            "native-input~audio~buffer.commit native-input~audio~buffer.commit run_well"
        ),
    ),
    "an unannounced answer behind a whole item": (
        ("openai", "settings", "no created"),
        (
            "dialled-1 created-1 take-1-message say frame speech-1 take-1-message stop-1 commit-1 "
            "unannounced-1-item+only take-1-audio+first step-1-False fire-transcript"
        ),
    ),
    "an answer behind a cut call": (
        ("converse", "settings", "only done"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 force drop-1 stop-1 say commit-1 own-1-call "
            "step-1-False step-1-False frame step-1-False run_well"
        ),
    ),
}


@pytest.mark.open
@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
