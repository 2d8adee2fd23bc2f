"""Flask: `mount(app, router, "/voice")` and the application takes calls there.

It wraps `app.wsgi_app`, in front of Flask: the request's socket leaves the server, so that neither a view nor what
runs around one (`before_request`, sessions, blueprints) has a response to give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core import Profile, Router, checked_profile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask

    from router.web.response import Environ, StartResponse, WSGIApp


def mount(app: Flask, router: Router, path: str, *, profile: Profile = "openai") -> None:
    """Serve WebSockets at `path`, exactly; every other request is the application's as before.

    Call it after whatever else wraps `app.wsgi_app`, so that it stands in front.

    Raises:
        ValueError: the path does not begin with a slash, or there is no such profile.
    """
    if not path.startswith("/"):
        raise ValueError(f"path must begin with a slash, not {path!r}")
    checked_profile(profile)
    flask_app: WSGIApp = app.wsgi_app

    def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != path:
            return flask_app(environ, start_response)
        return router.handle(environ, profile=profile)(environ, start_response)

    setattr(app, "wsgi_app", wsgi_app)  # noqa: B010 - a method, to a type checker
