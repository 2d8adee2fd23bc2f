"""The meaning of losses and rate limits, row by row."""

import pytest

from actors.connections.upstream import DialFailure
from actors.restart import Loss, LossKind
from router.session.reports import RateLimitLeft
from router.upstreams.evidence import ACCOUNT_CODES, LIMITED_S, ROWS, Evidence, of_limits, of_loss
from router.upstreams.table import Event


def http(code, **more):
    return Loss(kind=LossKind.HTTP, code=code, cause="refused", **more)


def dial(failure):
    return Loss(kind=LossKind.NOT_DIALLED, cause=failure.value)


def closed(code=1006, reason="", **more):
    return Loss(kind=LossKind.CLOSED, code=code, reason=reason, cause="closed by the peer", **more)


SILENT = Loss(kind=LossKind.SILENT, cause="session.created")

BEFORE = [
    ("our own failure, or too many dials at once", dial(DialFailure.BUSY), None),
    ("our own failure, or too many dials at once", Loss(kind=LossKind.FAILED), None),
    ("an HTTP status with Retry-After", http(429, retry_after_s=3.0), Event.TOLD),
    ("an HTTP status with Retry-After", http(503, retry_after_s=3.0), Event.TOLD),
    ("HTTP 401 or 403, a refused key, an empty account", http(401), Event.REFUSED),
    ("HTTP 401 or 403, a refused key, an empty account", http(403), Event.REFUSED),
    (
        "HTTP 401 or 403, a refused key, an empty account",
        Loss(kind=LossKind.REFUSED, cause="insufficient_quota", is_fatal=True),
        Event.REFUSED,
    ),
    (
        "HTTP 401 or 403, a refused key, an empty account",
        closed(4000, "invalid_request_error.invalid_api_key", is_fatal=True),
        Event.REFUSED,
    ),
    ("HTTP 429 without a time", http(429), Event.TOLD),
    ("any other HTTP 4xx, or a fatal code: the request or its model", http(404), None),
    (
        "any other HTTP 4xx, or a fatal code: the request or its model",
        Loss(kind=LossKind.REFUSED, cause="model_not_found", is_fatal=True),
        None,
    ),
    (
        "any other HTTP 4xx, or a fatal code: the request or its model",
        closed(4000, "invalid_request_error.model_not_found", is_fatal=True),
        None,
    ),
    (
        "the upstream ended a session that had reached its age",
        Loss(kind=LossKind.REFUSED, cause="session_expired"),
        None,
    ),
    ("the dial timed out, or the upstream was silent before it served", dial(DialFailure.TIMEOUT), Event.TIMED_OUT),
    ("the dial timed out, or the upstream was silent before it served", SILENT, Event.TIMED_OUT),
    ("another failed dial, HTTP 5xx, silence, a close before it served or with 1013", http(500), Event.FAILED),
    (
        "another failed dial, HTTP 5xx, silence, a close before it served or with 1013",
        dial(DialFailure.TCP),
        Event.FAILED,
    ),
    ("another failed dial, HTTP 5xx, silence, a close before it served or with 1013", closed(), Event.FAILED),
]

AFTER = [
    ("another failed dial, HTTP 5xx, silence, a close before it served or with 1013", SILENT, Event.FAILED),
    ("another failed dial, HTTP 5xx, silence, a close before it served or with 1013", closed(1013), Event.FAILED),
    (
        "another failed dial, HTTP 5xx, silence, a close before it served or with 1013",
        Loss(kind=LossKind.MALFORMED),
        Event.FAILED,
    ),
    ("any other end of a session that was served", closed(1001), None),
]


@pytest.mark.parametrize(
    ("row", "loss", "event", "has_served"),
    [(*case, False) for case in BEFORE] + [(*case, True) for case in AFTER],
)
def test_a_loss_has_the_event_of_its_row(row, loss, event, has_served):
    assert next(it.name for it in ROWS if it.applies(loss, has_served)) == row
    assert of_loss(loss, has_served=has_served).event is event


def test_every_row_has_a_loss():
    assert {name for name, _, _ in (*BEFORE, *AFTER)} == {row.name for row in ROWS}


@pytest.mark.parametrize("code", sorted(ACCOUNT_CODES))
def test_a_code_of_the_account_refuses_the_key(code):
    assert of_loss(Loss(kind=LossKind.REFUSED, cause=code, is_fatal=True), has_served=True).event is Event.REFUSED


def test_the_told_time_is_that_of_the_answer_or_a_short_one():
    assert of_loss(http(429, retry_after_s=42.0), has_served=False) == Evidence(Event.TOLD, 42.0)
    assert of_loss(http(429), has_served=False) == Evidence(Event.TOLD, LIMITED_S)
    assert of_loss(http(500), has_served=False) == Evidence(Event.FAILED, 0.0)


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ([], 0.0),
        ([(100, 50, 30.0)], 0.0),
        ([(1000, 3, 30.0)], 30.0),
        ([(1000, 3, 30.0), (100, 0, 45.0)], 45.0),
        ([(1000, 0, 0.2)], 0.0),
        ([(1000, 0, None), (None, 0, 9.0), (0, 0, 9.0), (100, None, 9.0)], 0.0),
    ],
)
def test_an_exhausted_rate_limit_asks_for_its_reset(limits, seconds):
    reported = [RateLimitLeft(name="tokens", limit=it[0], left=it[1], reset_s=it[2]) for it in limits]
    assert of_limits(reported) == seconds
