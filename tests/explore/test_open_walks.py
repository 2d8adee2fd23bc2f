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
    "an answer to speech while a client's own response outside the conversation is awaited": (
        ("openai", "session.update", "no created"),
        (
            "dialled-1 created-1 take-1-message fire-rollover dialled-2 created-2 take-2-message "
            "native-response.create native-outside take-2-words+first step-2-False frame step-2-False step-2-False "
            "speech-2 stop-2 commit-2 own-2-call run_well"
        ),
    ),
    "a new voice is due while a response that has not ended keeps a request off": (
        ("openai", "session.update", "no created"),
        (
            "dialled-1 created-1 take-1-message say take-1-message take-1-message step-1-False step-1-False "
            "step-1-False step-1-False speak take-1-message dialled-2 native-conversation.item.create "
            "native-input~audio~buffer.clear refuse-1 close-2 say inject-queue frame fire-rollover take-1-message "
            "dialled-3 take-1-message take-1-message take-1-item+only step-1-False speech-1 take-1-busy created-3 "
            "take-3-message run_silent"
        ),
    ),
}


@pytest.mark.open
@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
