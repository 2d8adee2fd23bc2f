"""A Django project in one file, whose `request.user` reaches the hooks of the router.

These run it:

    python django_users.py migrate
    python django_users.py createsuperuser
    gunicorn --threads 8 django_users:application
"""

import logging
import os
import sys
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.decorators import login_required
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.urls import include, path

from router import Principal, Request, Router, SessionContext
from router.django import view

LOGIN = "<form method=post>{% csrf_token %}{{ form.as_p }}<button>Log in</button></form>"

settings.configure(
    DEBUG=True,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY", "an example"),
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "users.sqlite3")}
    },
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN})]},
        }
    ],
    LOGIN_URL="/login/",
    LOGIN_REDIRECT_URL="/",
)
application = get_wsgi_application()


def authenticate(call: Request) -> Principal | None:
    """Return the user of the call's cookie, as Django knows it."""
    # A browser sends the cookie with the WebSocket of any page, and the router admits pages of `allow_origins` and of
    # this machine. A cookie counts from the application's own page alone.
    if urlsplit(call.headers.get("origin", "")).netloc != call.headers.get("host"):
        return None
    request = HttpRequest()
    request.COOKIES = parse_cookie(call.headers.get("cookie", ""))
    # The router calls hooks outside any request of Django's: these two lines do the work of its middleware.
    SessionMiddleware(HttpResponse).process_request(request)
    try:
        user = get_user(request)  # the same as `request.user` in a view
        return Principal(str(user.pk), {"name": user.get_username()}) if user.is_authenticated else None
    finally:
        close_old_connections()  # Django does this at the end of its own requests alone


def configure(call: Request, _settings: dict[str, Any]) -> dict[str, Any]:
    """Give the agent a prompt of the user's own."""
    assert call.principal is not None
    return {"agent": {"think": {"prompt": f"Be brief. You talk to {call.principal.attributes['name']}."}}}


def on_session_start(session: SessionContext) -> None:
    """Log the call."""
    assert session.principal is not None
    logging.getLogger("django").warning("%s calls", session.principal.attributes["name"])


router = Router(
    openai_api_key=os.environ.get("OPENAI_API_KEY"),  # without a key a simulator answers
    authenticate=authenticate,
    configure=configure,
    on_session_start=on_session_start,
)


@login_required
def index(_request: HttpRequest) -> HttpResponse:
    """Serve the page that calls: its WebSocket carries the cookie by itself."""
    return HttpResponse("<script>socket = new WebSocket(`ws://${location.host}/voice`)</script>")


urlpatterns = [path("", index), path("", include("django.contrib.auth.urls")), path("voice", view(router))]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
