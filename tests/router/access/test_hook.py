"""The verdict of the application's `authenticate`."""

import threading

import pytest

from actors.connections.handover import HandshakeRefused
from actors.pool import Pool
from router.access.hook import verdict_of
from router.access.request import Principal, Request
from router.config.model import Deadlines
from router.testing import CallHarness

WAIT_S = 5.0
ADA = Principal("ada", {"plan": "gold"})


@pytest.fixture
def hanging():
    """A hook that hangs until its test is over."""
    over = threading.Event()
    yield lambda *_args: over.wait(WAIT_S)
    over.set()


def refusal(harness, **call):
    with pytest.raises(HandshakeRefused) as caught:
        harness.call(**call)
    return caught.value


def test_an_authenticated_client_comes_in(simulator):
    seen = []

    def authenticate(request):
        seen.append(request.credential)
        return ADA

    with CallHarness(authenticate=authenticate) as harness:
        harness.call(simulator=simulator, headers={"Authorization": "Token secret"}).client.start()
    assert seen == ["secret"]


def test_an_unknown_client_is_refused_before_the_upgrade():
    with CallHarness(authenticate=lambda _request: None) as harness:
        refused = refusal(harness)
        assert harness.router.session_count == 0
    assert (refused.status, dict(refused.headers)) == (401, {"WWW-Authenticate": "Bearer"})
    assert "authentication failed" in refused.description


def test_a_request_that_is_no_upgrade_is_not_authenticated():
    def authenticate(_request):
        raise AssertionError("authenticate was called")

    with CallHarness(authenticate=authenticate) as harness, pytest.raises(ZeroDivisionError):
        harness.router.begin({}, "openai", lambda _first_text: 1 / 0)


@pytest.mark.parametrize("verdict", [ZeroDivisionError, lambda _request: "ada"])
def test_without_a_verdict_the_client_is_refused_with_500(caplog, verdict):
    def authenticate(request):
        if verdict is ZeroDivisionError:
            raise verdict
        return verdict(request)

    with CallHarness(authenticate=authenticate) as harness:
        assert refusal(harness).status == 500
    assert "authenticate failed" in caplog.text


def test_an_object_that_authenticate_returned_by_mistake_is_in_no_log_line(caplog):
    with CallHarness(authenticate=lambda request: {"token": request.credential}) as harness:
        assert refusal(harness, headers={"Authorization": "Token s3cret"}).status == 500
    assert "authenticate must return a Principal or None, not a dict" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_verdict_that_does_not_come_in_time_is_a_refusal_with_503(hanging, caplog):
    with CallHarness(authenticate=hanging, deadlines=Deadlines(hook_s=0.2)) as harness:
        refused = refusal(harness)
    assert (refused.status, dict(refused.headers)) == (503, {"Retry-After": "1"})
    assert "authenticate timed out after 0.2 s" in caplog.text


def test_a_pool_that_takes_no_work_is_a_refusal_with_503(caplog):
    pool = Pool("auth", 1)
    pool.close()
    request = Request.of({}, "openai")
    with pytest.raises(HandshakeRefused) as caught:
        verdict_of(lambda _request: ADA, request, pool, session_id="7f3a", timeout_s=WAIT_S)
    assert caught.value.status == 503
    assert "session 7f3a: authenticate was not called: the auth is closed" in caplog.text
