"""Walks of long searches that broke a rule once, one of each kind. docs/invariants.md names their faults."""

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
    "speech beside a native commit": (
        ("openai", "session.update", "none"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 stop-1 commit-1 frame inject-interrupt "
            "speech-1 native-input~audio~buffer.commit stop-1 commit-1 take-1-message words-1-user~101 "
            "own-1-message words-1-user~102 take-1-message take-1-message step-1-True step-1-True step-1-True "
            "step-1-True step-1-True step-1-True"
        ),
    ),
    "a question at a rollover": (
        ("openai", "settings", "no echo"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 stop-1 commit-1 "
            "native-input~audio~buffer.commit native-response.cancel no words-1-user~101-failed "
            "inject-interrupt say refuse-1 take-1-message fire-rollover frame update take-1-message say "
            "dialled-2 take-1-message created-2 take-2-message take-1-message fire-first~event lost-1 "
            "speech-2 stop-2 commit-2 words-2-user~201 own-2-message step-2-False step-2-False step-2-False "
            "step-2-False step-2-False step-2-False"
        ),
    ),
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
    "two interruptions of an answer": (
        ("converse", "settings", "no created"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 stop-1 commit-1 unannounced-1-words+first "
            "step-1-False say frame speech-1 run_well"
        ),
    ),
    "a call that speech cancels": (
        ("converse", "settings", "no created"),
        (
            "dialled-1 created-1 take-1-message frame speech-1 stop-1 commit-1 unannounced-1-call+first "
            "frame speech-1 run_silent"
        ),
    ),
}


@pytest.mark.parametrize(("root", "walk"), WALKS.values(), ids=WALKS)
def test_a_walk_breaks_no_rule(root, walk):
    assert breaks(root, actions_of(walk))[0] == ""
