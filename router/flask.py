"""Flask: `mount(app, router, "/voice")` lets the application take calls at that path.

`mount` wraps `app.wsgi_app`, and so acts before Flask, because the request's socket leaves the server. A view, and the
code around it (`before_request`, sessions, blueprints), would have to return a response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core import Profile, Router, checked_profile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask

    from router.web.response import Environ, StartResponse, WSGIApp


def mount(app: Flask, router: Router, path: str, *, profile: Profile = "openai") -> None:
    """Serve WebSockets at exactly `path`; the application serves every other request as before.

    Call this function after all other middleware has wrapped `app.wsgi_app`: the router has to be the outermost layer.

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

    setattr(app, "wsgi_app", wsgi_app)  # noqa: B010 - a type checker takes it for a method
