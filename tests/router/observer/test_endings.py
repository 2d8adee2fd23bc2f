"""The end of a session: its word, its code, and the level of its line."""

import logging

import pytest

from actors.connections.base import ConnectionClosed, Ending
from actors.connections.upstream import DialFailure
from actors.lifecycle import SessionEnded
from router.observer import endings
from router.observer.endings import judge
from router.session.reports import SessionFailed


def judged(code=1000, reason="", *, failure=None, crashed="", ending=None, last_loss=""):
    closed = ending and ConnectionClosed(ending=ending, code=code, reason=reason)
    failed = failure and SessionFailed(failure, f"words about {failure}")
    found = judge(
        SessionEnded("s", 1.0, code, reason, 0), failure=failed, crashed=crashed, closed=closed, last_loss=last_loss
    )
    return found.end, found.code, found.cause, logging.getLevelName(found.level)


@pytest.mark.parametrize(
    ("ending", "code", "expected"),
    [
        (Ending.CLOSED_BY_PEER, 1000, ("client", "1000", "closed by the peer", "INFO")),
        (Ending.CLOSED_BY_PEER, 1001, ("client", "1001", "closed by the peer", "INFO")),
        (Ending.RESET, 1006, ("client lost", "1006", "reset", "INFO")),
        (Ending.TIMED_OUT, 1006, ("client lost", "1006", "timed out", "INFO")),
    ],
)
def test_a_call_that_its_client_ends_went_well(ending, code, expected):
    assert judged(code, ending=ending) == expected


@pytest.mark.parametrize("code", ["UPSTREAM_UNAVAILABLE", "server_error", "CLIENT_TOO_SLOW"])
def test_a_session_that_an_error_ends_failed(code):
    assert judged(1011, failure=code) == ("failed", code, f"words about {code}", "WARNING")


@pytest.mark.parametrize("code", ["UPSTREAM_UNAUTHORIZED", "invalid_api_key", "insufficient_quota", "model_not_found"])
def test_a_fault_that_only_the_operator_can_mend_is_an_error(code):
    assert judged(1000, failure=code)[3] == "ERROR"


def test_a_certificate_that_is_refused_is_the_operator_s_too():
    assert DialFailure.TLS.value == endings.NO_TLS
    assert judged(1011, failure="UPSTREAM_UNAVAILABLE", last_loss=endings.NO_TLS)[3] == "ERROR"


def test_the_error_counts_and_not_the_close_of_the_client_behind_it():
    assert judged(1000, failure="UPSTREAM_CLOSED", ending=Ending.CLOSED_BY_PEER)[:2] == ("failed", "UPSTREAM_CLOSED")


def test_a_drained_session_went_well_unless_its_turn_was_cut_off():
    assert judged(1012, "SERVER_GOING_AWAY") == ("drained", "1012", "SERVER_GOING_AWAY", "INFO")
    assert judged(1012, failure="SERVER_GOING_AWAY")[:2] == ("drained", "SERVER_GOING_AWAY")
    assert judged(1012, failure="SERVER_GOING_AWAY")[3] == "WARNING"


def test_a_crash_counts_before_everything_else():
    expected = ("crashed", "INTERNAL_SERVER_ERROR", "the translator", "ERROR")
    assert judged(1011, crashed="the translator", failure="server_error") == expected


def test_a_close_of_our_own_without_an_error_has_the_close_code():
    assert judged(1000, "unauthorized") == ("closed", "1000", "unauthorized", "INFO")


def test_a_long_cause_is_cut():
    found = judge(
        SessionEnded("s", 1.0, 1011, "", 0),
        failure=SessionFailed("server_error", "x" * 5000),
        crashed="",
        closed=None,
        last_loss="",
    )
    assert len(found.cause) == endings.MAX_CAUSE_CHARS
