"""The last messages of a relayed session."""

import pytest

from actors.restart import Loss, LossKind
from router.fronts.deepgram_agent import endings


def redact(text):
    return text.replace("secret", "[redacted]")


@pytest.mark.parametrize(
    ("error", "code", "description"),
    [
        ({"code": "FAILED_TO_THINK", "description": "a secret"}, "FAILED_TO_THINK", "a [redacted]"),
        ({"code": 5}, "UPSTREAM_CLOSED", ""),
        (None, "UPSTREAM_TIMEOUT", "the upstream missed the deadline speech"),
    ],
)
def test_the_upstream_s_own_error_explains_its_loss_best(error, code, description):
    loss = Loss(kind=LossKind.SILENT, cause="speech")
    last = endings.of_loss(loss, error, redact)
    assert (last.error.code, last.error.description, last.close_code) == (code, description, 1011)


def test_an_end_that_a_new_call_would_meet_again_asks_for_none():
    assert {it.close_code for it in (endings.NO_SETTINGS, endings.ENDED_BY_OPERATOR)} == {1000}
    assert (endings.TOO_SLOW.close_code, endings.DRAINED.close_code) == (1008, 1012)
