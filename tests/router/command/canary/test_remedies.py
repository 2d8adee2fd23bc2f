"""Advice for each kind of failure."""

import pytest

from actors.connections.upstream import DialError, DialFailure
from router.command.canary.remedies import BY_DIAL, remedy


@pytest.mark.parametrize("kind", [kind for kind in DialFailure if kind is not DialFailure.HTTP_STATUS])
def test_every_failure_of_a_dial_has_advice(kind):
    assert remedy("UPSTREAM_UNAVAILABLE", DialError(kind)) == BY_DIAL[kind]


def test_a_status_has_advice_of_its_own():
    assert "too many calls" in remedy("UPSTREAM_UNAVAILABLE", DialError(DialFailure.HTTP_STATUS, 429))
    assert remedy("UPSTREAM_UNAVAILABLE", DialError(DialFailure.HTTP_STATUS, 503)) == ""


def test_the_code_of_the_error_decides_before_the_dial():
    assert remedy("invalid_api_key", DialError(DialFailure.TCP)) == "check OPENAI_API_KEY"


def test_an_unknown_failure_has_none():
    assert remedy("", None) == ""
