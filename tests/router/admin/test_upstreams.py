"""The upstreams as an operator sees them."""

import time

import pytest

from actors.connector import DIALS_JUDGED, JUDGED_WITHIN_S
from router.admin.upstreams import UpstreamBook, added_up
from router.session.reports import RateLimitLeft

LIMIT = RateLimitLeft(name="requests", limit=100, left=7, reset_s=2.0)


def row(at_s=0.0, *results, position=0, **more):
    recent = [{"at_s": at_s, "result": result, "error": "" if result == "ok" else "no"} for result in results]
    dials = {result: results.count(result) for result in results}
    return {
        "position": position,
        "upstream": f"wss://{position}",
        "sessions": 1,
        "dials": dials,
        "recent": recent,
        "limits": [],
        "limits_at_s": 0.0,
        **more,
    }


def test_a_book_counts_dials_by_result_and_keeps_the_newest():
    book = UpstreamBook(["wss://a", "wss://b"])
    for _ in range(DIALS_JUDGED + 1):
        book.record_dial(1, "ok")
    book.record_dial(1, "tcp", "not reachable")
    first, second = book.rows({1: 4})
    assert (first["dials"], first["sessions"]) == ({}, 0)
    assert (second["dials"], second["sessions"]) == ({"ok": DIALS_JUDGED + 1, "tcp": 1}, 4)
    assert [it["result"] for it in second["recent"]] == ["ok"] * (DIALS_JUDGED - 1) + ["tcp"]
    assert second["recent"][-1]["error"] == "not reachable"


def test_the_newest_limits_are_kept_and_those_of_an_unlisted_upstream_are_not():
    book = UpstreamBook(["wss://a"])
    book.record_limits(0, (LIMIT,))
    book.record_limits(7, (LIMIT,))
    (found,) = book.rows({})
    assert found["limits"] == [{"name": "requests", "limit": 100, "left": 7, "reset_s": 2.0}]
    assert 0 <= time.monotonic() - found["limits_at_s"] < 60


def test_the_rows_of_all_workers_are_added_up_by_position():
    rows = [row(5.0, "ok", "tcp"), row(6.0, "ok", sessions=2), row(position=1, sessions=0)]
    first, second = added_up(rows, [1], 10.0)
    assert (first["sessions"], first["dials"], first["failures"]) == (3, {"ok": 2, "failed": 1}, {"tcp": 1})
    assert first["last_dial"] == {"age_s": 4.0, "result": "ok", "error": ""}
    assert (first["state"], second["state"], second["last_dial"]) == ("well", "paused", None)


def test_the_limits_of_the_worker_that_heard_them_last_are_shown_with_their_age():
    heard = [{"name": "tokens", "limit": 10, "left": 3, "reset_s": 1}]
    (found,) = added_up([row(), row(limits=heard, limits_at_s=8.0)], [], 10.0)
    assert found["rate_limits"] == [{**heard[0], "age_s": 2.0}]


@pytest.mark.parametrize(
    ("rows", "state", "cool_down_s"),
    [
        ([row()], "not dialled", 0.0),
        ([row(5.0, "tcp")], "failing", JUDGED_WITHIN_S - 5),
        ([row(5.0, "tcp", "tcp"), row(6.0, "ok")], "well", 0.0),
        ([row(5.0, "ok"), row(6.0, *["tls"] * DIALS_JUDGED)], "failing", JUDGED_WITHIN_S - 4),
        ([row(10.0 - JUDGED_WITHIN_S - 1, "tcp")], "well", 0.0),
    ],
)
def test_an_upstream_whose_latest_dials_all_failed_is_failing_for_a_time(rows, state, cool_down_s):
    (found,) = added_up(rows, [], 10.0)
    assert (found["state"], found["cool_down_s"]) == (state, pytest.approx(cool_down_s))
