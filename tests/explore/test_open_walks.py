"""Walks of long searches that break a rule, and are not mended yet: `pytest -m open`. docs/invariants.md lists them."""

import pytest

from tests.explore.findings import actions_of
from tests.explore.shrink import breaks

WALKS = {
    "a doubtful request and the output of a call": (
        ("openai", "settings", "no created"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 stop-1 commit-1 no_words-1-user~101- inject-queue "
            "native-response.cancel take-1-message take-1-message take-1-message frame speech-1 say take-1-message "
            "stop-1 say fire-commit commit-1 own-1-call step-1-False step-1-False answer-call~104 step-1-False "
            "words-1-user~103 take-1-message take-1-item+only step-1-False"
        ),
    ),
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
