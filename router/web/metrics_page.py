"""`/metrics`: the page that Prometheus scrapes, for all workers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from router.metrics.exposition import page
from router.version import VERSION
from router.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.metrics.memory import Segment
    from router.metrics.metrics import Metrics
    from router.web.response import Environ


class Router(Protocol):
    """The part of the router that the page of metrics needs. Its methods may be called from any thread."""

    @property
    def metrics(self) -> Metrics:
        """The counters of this process."""

    def sample_metrics(self) -> None:
        """Update the counters of this process."""


def metrics_route(router: Router, segments: Iterable[Segment] | None) -> Callable[[Environ], Response]:
    """Return the function that serves the page of metrics.

    If `segments` is None, the page shows only this process.
    """

    def serve(environ: Environ) -> Response:
        router.sample_metrics()
        shown: Any = segments if segments is not None else [router.metrics.segment]
        body, content_type = page(shown, VERSION, environ.get("HTTP_ACCEPT", ""))
        return Response(HTTPStatus.OK, body, content_type)

    return serve
