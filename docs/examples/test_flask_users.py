"""The application's own tests of its calls with a cookie: in memory."""

from collections.abc import Iterator

import flask_users
import pytest

from router.testing import CallHarness, HandshakeRefused

UNAUTHORIZED, FORBIDDEN = 401, 403


@pytest.fixture(scope="module", autouse=True)
def router_closed_at_the_end() -> Iterator[None]:
    """Close the router, so that no thread is left behind."""
    yield
    flask_users.router.close(drain_s=0)


@pytest.fixture
def cookie() -> str:
    """Log in, and return the cookie as a browser sends it."""
    response = flask_users.app.test_client().post("/login", data={"username": "ada", "password": "correct horse"})
    return response.headers["Set-Cookie"].partition(";")[0]


def test_the_user_of_the_cookie_reaches_the_hooks(cookie: str) -> None:
    """The prompt is that of the hook `configure`."""
    with CallHarness(flask_users.router) as harness:
        headers = {"Cookie": cookie, "Host": "voice.example", "Origin": "https://voice.example"}
        call = harness.call("openai", headers=headers)
        call.client.send_settings()
        assert call.upstream().open_session()["session"]["instructions"] == "Be brief. You talk to ada."


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", FORBIDDEN), ("http://localhost:3000", UNAUTHORIZED), (None, UNAUTHORIZED)],
)
def test_another_page_is_refused_although_the_cookie_is_valid(cookie: str, origin: str | None, status: int) -> None:
    """The router refuses a foreign page itself, and the hook every page but the application's own."""
    headers = {"Cookie": cookie, "Host": "voice.example", **({"Origin": origin} if origin else {})}
    with CallHarness(flask_users.router) as harness, pytest.raises(HandshakeRefused) as refused:
        harness.call("openai", headers=headers)
    assert refused.value.status == status


def test_a_call_without_a_login_is_refused() -> None:
    """The cookie of another application is none of ours."""
    headers = {"Cookie": "session=forged", "Host": "voice.example", "Origin": "https://voice.example"}
    with CallHarness(flask_users.router) as harness, pytest.raises(HandshakeRefused) as refused:
        harness.call("openai", headers=headers)
    assert refused.value.status == UNAUTHORIZED
