"""The table of closes: every close of a client has its row, and the router says what the row says."""

import re
from pathlib import Path

import pytest

from actors.connections.base import ConnectionClosed, Ending
from actors.connections.close_codes import CloseCode
from actors.lifecycle import SessionEnded
from router import closes
from router.closes import CLOSES, ComeBack, End
from router.observer.endings import judge
from router.session.handlers.limits import BY_CODE
from router.session.reports import SessionFailed
from router.translation import errors

ROOT = Path(__file__).parents[2]

STATE_CODES_OF_THEIR_OWN = ("router/simulator/", "router/command/", "router/testing/", "router/closes.py")
"""Other servers and clients than the router."""

READ_CODES = {
    "router/fronts/listen/guarded.py",
    "router/fronts/listen/relay.py",
    "router/fronts/listen/transcriber.py",
    "router/fronts/realtime/recovery.py",
    "router/fronts/twilio/machine.py",
    "router/resume/keeping.py",
    "router/session/handlers/ending.py",
    "router/upstreams/evidence.py",
    "router/web/moves.py",
}
"""Modules that judge the code of a close that was received, or that pass one on."""

OPENAI = "the same on `/v1/realtime`"


def test_the_manual_has_the_table():
    assert closes.table() in (ROOT / "docs/operations.md").read_text(), closes.table()


def test_no_other_module_states_the_code_of_a_close():
    states = {
        name
        for path in (ROOT / "router").rglob("*.py")
        if (name := str(path.relative_to(ROOT))) and not name.startswith(STATE_CODES_OF_THEIR_OWN)
        if re.search(r"\bCloseCode\b", path.read_text())
    }
    assert states <= READ_CODES


@pytest.mark.parametrize(("code", "row"), closes.ERRORS.items())
def test_the_end_behind_an_error_is_that_of_its_row(code, row):
    last = errors.final_error(code, "words")
    assert (last.close_code, last.close_reason) == (row.code, row.reason)
    ended = judge(
        SessionEnded("s", 1.0, last.close_code, last.close_reason, 0),
        failure=SessionFailed(code, "words"),
        crashed="",
        closed=None,
        last_loss="",
    )
    assert (ended.end, ended.code) == (row.end, row.label)


@pytest.mark.parametrize(
    ("occasion", "ending"),
    [
        ("the client closes the call", Ending.CLOSED_BY_PEER),
        ("the last words of a transcription", None),
        ("a drain, between two turns", None),
        (OPENAI, None),
        ("too much memory is in use", Ending.CLOSED_BY_US),
        ("no agent takes the telephone call", None),
        ("the client breaks WebSocket's rules", Ending.PROTOCOL_ERROR),
        ("a text is not UTF-8", Ending.PROTOCOL_ERROR),
        ("a message is too long", Ending.PROTOCOL_ERROR),
    ],
)
def test_an_end_without_an_error_counts_as_its_row_says(occasion, ending):
    row = CLOSES[occasion]
    closed = ending and ConnectionClosed(ending=ending, code=row.code, reason=row.reason)
    given = SessionEnded("s", 1.0, row.code, row.reason, 0)
    ended = judge(given, failure=None, crashed="", closed=closed, last_loss="")
    assert (ended.end, ended.code) == (row.end, row.label)


def test_a_crash_counts_as_its_row_says():
    given = SessionEnded("s", 1.0, closes.CRASHED.code, closes.CRASHED.reason, 0)
    ended = judge(given, failure=None, crashed="the client failed", closed=None, last_loss="")
    assert (ended.end, ended.code) == (End.CRASHED, closes.CRASHED.label)


def test_every_limit_of_a_call_has_a_row():
    assert set(closes.LIMITS) == set(BY_CODE)


def test_the_close_code_says_whether_to_come_back():
    """Deepgram's JavaScript SDK connects again after any code but 1000."""
    faults = {"no agent takes the telephone call", "the client breaks WebSocket's rules", "a text is not UTF-8"}
    for occasion, row in CLOSES.items():
        if occasion not in {*faults, "a message is too long"}:
            assert (row.comes_back is ComeBack.NO) == (row.code == CloseCode.NORMAL_CLOSURE), occasion


def test_a_client_of_openai_is_asked_to_try_again_where_the_upstream_is_at_fault():
    assert closes.for_openai(CloseCode.INTERNAL_ERROR) == CloseCode.TRY_AGAIN_LATER
    assert closes.for_openai(CloseCode.NORMAL_CLOSURE) == CloseCode.NORMAL_CLOSURE


@pytest.mark.parametrize("row", CLOSES.values())
def test_a_reason_fits_into_a_close_frame(row):
    assert len(row.reason.encode()) <= 123
