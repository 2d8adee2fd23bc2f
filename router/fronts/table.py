"""The fronts by name, and their routes. A new front needs a row in each table (docs/adding-a-front.md)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from router.config.model import (
    CONVERSE_PATH,
    COUSIN_PATHS,
    DEEPGRAM_PATHS,
    LISTEN_PATHS,
    REALTIME_PATHS,
    THINK_MODELS_PATHS,
    TWILIO_PATH,
)
from router.config.route import FRONTS as ROUTED
from router.config.route import OFF, Route
from router.fronts.deepgram import COMPONENT, SDKS, serve_think_models
from router.fronts.deepgram_agent.front import RELAY
from router.fronts.front import Front, FrontRoute
from router.fronts.listen import front as listen
from router.fronts.realtime.front import REALTIME
from router.fronts.twilio import webhook
from router.fronts.twilio.front import COUSIN_FRONTS, TELEPHONE
from router.web import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable


class Router(webhook.Router, upgrade.Router, Protocol):
    """The part of the router that the routes need. Its methods may be called from any thread."""


FRONTS: Final[dict[str, Front]] = {
    front.name: front
    for front in (COMPONENT, SDKS, REALTIME, RELAY, listen.TRANSCRIBER, listen.LISTEN_RELAY, TELEPHONE, *COUSIN_FRONTS)
}


def routes(router: Router) -> tuple[FrontRoute, ...]:
    """Return the routes of all fronts. A route of the configuration replaces a built-in one of the same path."""
    config = router.config
    built_in = (
        Route(path=config.path, front=COMPONENT.name),
        Route(path=CONVERSE_PATH, front=SDKS.name),
        *(Route(path=path, front=REALTIME.name) for path in REALTIME_PATHS),
        *(Route(path=path, front=RELAY.name) for path in DEEPGRAM_PATHS),
        *(Route(path=path, front=listen.TRANSCRIBER.name) for path in LISTEN_PATHS),
        Route(path=TWILIO_PATH, front=TELEPHONE.name),
        *(Route(path=path, front=path[1:]) for path in COUSIN_PATHS),
    )
    listed = {route.path for route in config.routes}
    served = (*(route for route in built_in if route.path not in listed), *config.routes)
    return (
        *(FrontRoute(path, partial(serve_think_models, router)) for path in THINK_MODELS_PATHS),
        *(found for route in served for found in _SERVED[route.front](router, route)),
    )


def _session(router: Router, route: Route) -> tuple[FrontRoute, ...]:
    return (FrontRoute(route.path, partial(upgrade.accept, router, route.front)),)


def _deepgram(router: Router, route: Route) -> tuple[FrontRoute, ...]:
    return (FrontRoute(route.path, partial(listen.serve_either, router, router.config, RELAY.name)),)


def _listen(router: Router, route: Route) -> tuple[FrontRoute, ...]:
    return (FrontRoute(route.path, partial(listen.serve, router, router.config)),)


def _twilio(router: Router, route: Route) -> tuple[FrontRoute, ...]:
    stream, voice, status = route.paths
    return (
        FrontRoute(stream, partial(webhook.serve_stream, router)),
        FrontRoute(voice, partial(webhook.serve_voice, router, stream_path=stream), ("POST",)),
        FrontRoute(status, partial(webhook.serve_status, router), ("POST",)),
    )


def _nothing(_router: Router, _route: Route) -> tuple[FrontRoute, ...]:
    return ()


_SERVED: Final[dict[str, Callable[[Router, Route], tuple[FrontRoute, ...]]]] = {
    COMPONENT.name: _session,
    SDKS.name: _session,
    REALTIME.name: _session,
    RELAY.name: _deepgram,
    listen.TRANSCRIBER.name: _listen,
    TELEPHONE.name: _twilio,
    **{front.name: _session for front in COUSIN_FRONTS},
    OFF: _nothing,
}
assert set(_SERVED) == set(ROUTED)  # noqa: S101 - the configuration and this table name the same fronts
