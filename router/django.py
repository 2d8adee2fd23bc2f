"""Django: `path("voice", view(router))` in `urlpatterns` lets the project take calls at that path.

The view hands the request's socket over. It then returns a response, because Django and the server need one. The bytes
of that response are discarded.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.http import HttpResponse

from actors.connections.handover import USE_GTHREAD
from router.core import Profile, Router, checked_profile
from router.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

UNDER_ASGI = Response(HTTPStatus.NOT_IMPLEMENTED, f"a view under ASGI cannot serve a WebSocket: {USE_GTHREAD}\n")


def view(router: Router, *, profile: Profile = "openai") -> Callable[[HttpRequest], HttpResponse]:
    """Make a view that serves WebSockets.

    The view may be decorated, for example with `login_required`: a decorator's refusal is a plain response.

    Raises:
        ValueError: there is no such profile.
    """
    checked_profile(profile)

    def voice(request: HttpRequest) -> HttpResponse:
        environ = getattr(request, "environ", None)  # an ASGI request has none
        response = UNDER_ASGI if environ is None else router.handle(environ, profile=profile)
        return HttpResponse(response.body, status=response.status.value, headers=dict(response.all_headers))

    return voice
