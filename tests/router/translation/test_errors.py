"""Errors for the client: their codes, descriptions and close frames."""

import pytest

from router.deepgram import messages as deepgram
from router.openai.events import Error, ErrorDetail
from router.translation import errors

SECRET = "sk-secret"  # noqa: S105 - one that is none


def redact(text):
    return text.replace(SECRET, "***")


@pytest.mark.parametrize(
    ("detail", "code"),
    [
        (ErrorDetail(code="invalid_value", type="invalid_request_error"), "invalid_value"),
        (ErrorDetail(type="unknown_or_invalid_event"), "unknown_or_invalid_event"),
        (ErrorDetail(message="Sorry."), "server_error"),
    ],
)
def test_the_code_is_the_upstream_s_own_wherever_it_stands(detail, code):
    assert errors.code_of(detail) == code
    assert errors.client_error(detail, redact).code == code


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Error(), ["the event `error` without a body", "send the last message again"]),
        (Error(event_id="event_9"), ["`error` event_9"]),
        (Error(ErrorDetail(event_id="sb_1")), ["about the event sb_1"]),
        (Error(message="Out of order."), ["Out of order."]),
    ],
)
def test_an_error_without_a_body_says_which_event_it_was_and_what_to_do(event, words):
    error = errors.client_error(errors.explained(event).error, redact)
    assert error.code == "server_error"
    assert all(word in error.description for word in words)


@pytest.mark.parametrize(
    "detail",
    [
        ErrorDetail(code="invalid_value", message="Odd."),
        ErrorDetail(code="invalid_value", param="session.tools"),
        ErrorDetail(code="invalid_api_key"),
        ErrorDetail(code="session_expired"),
        ErrorDetail(code="response_cancel_not_active"),
    ],
)
def test_an_error_that_says_what_it_is_is_unchanged(detail):
    event = Error(detail, message="beside")
    assert errors.explained(event) is event


def test_an_error_without_a_message_has_the_one_beside_it():
    error = errors.explained(Error(ErrorDetail(code="invalid_value"), message="beside")).error
    assert (error.code, error.message) == ("invalid_value", "beside")
    assert errors.explained(Error(code="beside")).error.code == "beside"


@pytest.mark.parametrize(
    "detail", [ErrorDetail(code="odd"), ErrorDetail(type="odd"), ErrorDetail(code="odd", message="")]
)
def test_an_error_that_is_a_code_alone_says_which_event_it_was_and_what_to_do(detail):
    error = errors.client_error(errors.explained(Error(detail, event_id="event_9")).error, redact)
    assert error.code == "odd"
    assert "`error` event_9 with the code odd and without a message" in error.description
    assert "send the last message again" in error.description


def test_a_description_has_the_field_that_the_upstream_names():
    error = errors.client_error(ErrorDetail(message="Invalid value.", param="session.voice"), redact)

    assert error.description == "Invalid value. (session.voice)"


def test_an_error_without_a_message_is_described_by_its_code():
    assert errors.client_error(ErrorDetail(code="rate_limit_exceeded"), redact).description == "rate_limit_exceeded"


def test_a_credential_is_redacted_in_code_and_description_and_before_the_description_is_cut():
    long = "x" * 1995 + SECRET
    error = errors.client_error(ErrorDetail(message=long, code=SECRET), redact)

    assert error == deepgram.Error(description="x" * 1995 + "***", code="***")
    assert len(errors.client_error(ErrorDetail(message="x" * 3000), redact).description) == 2000


def test_no_code_is_both_benign_and_fatal():
    assert not errors.BENIGN & (errors.FATAL | errors.EXPIRED)


def test_a_code_of_our_own_is_the_close_reason_too():
    final = errors.final_error("UPSTREAM_TIMEOUT", "the upstream fell silent")

    assert final.error == deepgram.Error(description="the upstream fell silent", code="UPSTREAM_TIMEOUT")
    assert (final.close_code, final.close_reason) == (1011, "UPSTREAM_TIMEOUT")


def test_an_upstream_that_cannot_be_dialled_may_be_tried_again():
    final = errors.dial_error("connection refused")

    assert final.error.description == "the upstream cannot be reached (connection refused)"
    assert (final.error.code, final.close_code) == ("UPSTREAM_UNAVAILABLE", 1011)


@pytest.mark.parametrize(
    ("status", "code", "close_code"),
    [
        (401, "UPSTREAM_UNAUTHORIZED", 1000),
        (403, "UPSTREAM_UNAUTHORIZED", 1000),
        (429, "UPSTREAM_UNAVAILABLE", 1011),
        (503, "UPSTREAM_UNAVAILABLE", 1011),
    ],
)
def test_another_try_helps_unless_the_upgrade_was_refused_for_its_credential(status, code, close_code):
    final = errors.upgrade_error(status)

    assert (final.error.code, final.close_code) == (code, close_code)
    assert f"HTTP {status}" in final.error.description


@pytest.mark.parametrize(("code", "close_code"), [("insufficient_quota", 1000), ("session_expired", 1011)])
def test_an_upstream_s_own_error_explains_the_end_with_its_code(code, close_code):
    final = errors.upstream_error(ErrorDetail(code=code, message="No."), redact)

    assert final == errors.FinalError(deepgram.Error(description="No.", code=code), close_code, code)


def test_a_close_reason_is_short_enough_for_its_frame():
    assert len(errors.upstream_error(ErrorDetail(code="x" * 200), redact).close_reason) <= 123


@pytest.mark.parametrize(
    ("reason", "is_fatal"),
    [
        ("invalid_request_error.invalid_api_key", True),
        ("insufficient_quota.insufficient_quota", True),
        ("model_not_found", True),
        ("invalid_request_error.session_expired", False),
        ("", False),
    ],
)
def test_a_close_reason_is_fatal_by_its_code(reason, is_fatal):
    assert errors.is_fatal_reason(reason) is is_fatal


def test_a_fatal_close_keeps_the_upstream_s_code():
    final = errors.close_error(3000, "invalid_request_error.invalid_api_key", redact)

    assert final.error.code == final.close_reason == "invalid_api_key"
    assert final.close_code == 1000


@pytest.mark.parametrize(
    ("reason", "description"),
    [
        ("", "the upstream closed the connection (1011)"),
        ("bye", "the upstream closed the connection (1011 bye)"),
        (f"bad key {SECRET}", "the upstream closed the connection (1011 bad key ***)"),
    ],
)
def test_any_other_close_is_described_by_its_code_and_redacted_reason(reason, description):
    final = errors.close_error(1011, reason, redact)

    assert final.error == deepgram.Error(description=description, code="UPSTREAM_CLOSED")
    assert final.close_code == 1011
