"""A Flask application whose users log in with Flask-Login, and call with the cookie of that login.

This runs it:

    gunicorn --threads 8 flask_users:app
"""

import logging
import os
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, redirect, request
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from werkzeug.wrappers import Response

from router import Principal, Request, Router, SessionContext
from router.flask import mount

app = Flask(__name__)
app.config.update(SECRET_KEY=os.environ.get("SECRET_KEY", "an example"), SESSION_COOKIE_SAMESITE="Lax")
logins = LoginManager(app)
logins.login_view = "login"


class User(UserMixin):
    """A user of the application."""

    def __init__(self, name: str) -> None:
        self.id = name


@logins.user_loader
def load_user(name: str) -> User | None:
    """Return the user of a cookie."""
    return User(name) if name in PASSWORDS else None


PASSWORDS = {"ada": "correct horse"}  # an application keeps hashes


def authenticate(call: Request) -> Principal | None:
    """Return the user of the call's cookie, as Flask-Login knows it."""
    # A browser sends the cookie with the WebSocket of any page, and the router admits pages of `allow_origins` and of
    # this machine. A cookie counts from the application's own page alone.
    if urlsplit(call.headers.get("origin", "")).netloc != call.headers.get("host"):
        return None
    # The router calls hooks outside any request of Flask's: this context has the cookie of the call.
    environ = {"REMOTE_ADDR": call.remote_address or ""}
    with app.test_request_context(call.path, headers=dict(call.headers), environ_base=environ):
        return Principal(current_user.id) if current_user.is_authenticated else None


def configure(call: Request, _settings: dict[str, Any]) -> dict[str, Any]:
    """Give the agent a prompt of the user's own."""
    assert call.principal is not None
    return {"agent": {"think": {"prompt": f"Be brief. You talk to {call.principal.id}."}}}


def on_session_start(session: SessionContext) -> None:
    """Log the call."""
    assert session.principal is not None
    logging.getLogger(__name__).warning("%s calls", session.principal.id)


router = Router(
    openai_api_key=os.environ.get("OPENAI_API_KEY"),  # without a key a simulator answers
    authenticate=authenticate,
    configure=configure,
    on_session_start=on_session_start,
)
mount(app, router, "/voice", profile="openai")


@app.route("/login", methods=["GET", "POST"])
def login() -> str | Response:
    """Log a user in."""
    if request.method == "POST" and PASSWORDS.get(request.form["username"]) == request.form["password"]:
        login_user(User(request.form["username"]))
        return redirect("/")
    return "<form method=post><input name=username><input name=password type=password><button>Log in</button></form>"


@app.get("/")
@login_required
def index() -> str:
    """Serve the page that calls: its WebSocket carries the cookie by itself."""
    return "<script>socket = new WebSocket(`ws://${location.host}/voice`)</script>"
