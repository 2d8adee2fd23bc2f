"""Users who log in with a form, and call with the cookie of that login: Flask-Login and Django, under gunicorn."""

import http.cookiejar
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.clients.voice_agent import OPENAI, VoiceAgent, hold_text_turn
from tests.support.processes.children import child, clean_environment
from tests.support.processes.further import further
from tests.support.processes.host_apps import EXAMPLES, GUNICORN, LISTENS, ROOT, TIMEOUT_S

PASSWORD = "correct horse"  # noqa: S105 - of an example


def environment(folder):
    return {
        "PYTHONPATH": f"{ROOT}:{EXAMPLES}",
        "PYTHONUNBUFFERED": "1",
        "DATABASE": str(folder / "users.sqlite3"),
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }


def prepare_django(folder):
    """Make the database, and a user in it."""
    for command in (
        ["migrate", "-v0"],
        ["createsuperuser", "--noinput", "--username", "ada", "--email", "a@b.example"],
    ):
        subprocess.run(
            [sys.executable, EXAMPLES / "django_users.py", *command],
            env=clean_environment() | environment(folder),
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=120,
        )


APPS = {"flask": ("flask_users:app", lambda _: None), "django": ("django_users:application", prepare_django)}


@pytest.fixture(scope="module", params=["flask", further("django")])
def application(request, tmp_path_factory):
    """Run an application; yield its address and its process."""
    folder = tmp_path_factory.mktemp(request.param)
    target, prepare = APPS[request.param]
    prepare(folder)
    with child(sys.executable, *GUNICORN, target, env=environment(folder)) as process:
        yield process.wait_for(LISTENS)[1], process
        process.stop(timeout_s=TIMEOUT_S)


@pytest.fixture(scope="module")
def cookie(application):
    """Log in with the form, and return the cookies as a browser sends them."""
    address, _ = application
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form_page = browser.open(f"http://{address}/", timeout=TIMEOUT_S)  # which redirects to the form
    login, form = form_page.url, form_page.read().decode()
    fields = {"username": "ada", "password": PASSWORD}
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    if token:
        fields["csrfmiddlewaretoken"] = token[1]
    page = browser.open(login, urllib.parse.urlencode(fields).encode(), timeout=TIMEOUT_S)
    assert "new WebSocket" in page.read().decode()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def call(address, **headers):
    return connect(f"ws://{address}/voice", additional_headers=headers, open_timeout=TIMEOUT_S)


def test_a_page_of_the_application_calls_with_its_cookie_and_the_user_reaches_the_hooks(application, cookie):
    address, process = application
    with call(address, Cookie=cookie, Origin=f"http://{address}") as connection:
        agent = VoiceAgent(connection, OPENAI)
        agent.start()
        hold_text_turn(agent, "hello there")
    process.wait_for("ada calls")


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_page_of_another_site_is_refused_although_the_browser_sends_the_cookie(application, cookie, origin):
    with pytest.raises(InvalidStatus) as refused, call(application[0], Cookie=cookie, Origin=origin):
        pass
    assert refused.value.response.status_code in (401, 403)


def test_a_call_without_a_login_is_refused(application):
    address, _ = application
    with pytest.raises(InvalidStatus) as refused, call(address, Origin=f"http://{address}"):
        pass
    assert refused.value.response.status_code == 401
