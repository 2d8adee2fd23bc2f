"""The targets of dials, with their headers, and the dial whose time is measured."""

from __future__ import annotations

import functools
import hmac
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from actors.connections.upstream import DialError, DialTarget, dial
from router.access import loops
from router.access.signing import signing_key
from router.admin.upstreams import OK
from router.config.parsers import url_with_model
from router.metrics.catalog import DIAL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.connections.base import Connection, ConnectionLimits
    from router.access.request import Principal, Request
    from router.config.model import RouterConfig
    from router.fronts.front import Front
    from router.observer.sessions import Observers


SAFETY_HEADER: Final = "OpenAI-Safety-Identifier"

Headers = tuple[tuple[str, str], ...]
Choose = Callable[[Sequence[int], int | None], int]
"""The type of `SessionSpec.choose`, the function that chooses the position to dial."""


class DialledAhead:
    """An upstream that was dialled before its session came from another process. Methods may be called from any thread.

    Args:
        target: the target of the dial.
        connection: the connection, which no actor has opened yet.
        release: gives the lease of the key back, so that the session can take the same key. A second call has no
            effect.
    """

    def __init__(self, target: DialTarget, connection: Connection, release: Callable[[], None] = lambda: None) -> None:
        self._target = target
        self._connections = [connection]
        self._release = release

    def choosing(self, choose: Choose) -> Choose:
        """Wrap `choose`: until the upstream that was dialled ahead is used, the result chooses its position."""

        def run(positions: Sequence[int], leaving: int | None) -> int:
            position = self._target.position
            if not self._connections or position is None or position not in positions:
                return choose(positions, leaving)
            self._release()
            return position

        return run

    def before(self, dial: Callable[[DialTarget], Connection]) -> Callable[[DialTarget], Connection]:
        """Wrap `dial`: for the target that was dialled ahead, the first call of the result returns that connection."""

        def run(target: DialTarget) -> Connection:
            connection = self._take()
            if connection is None:
                return dial(target)
            if _place(target) == _place(self._target):
                return connection
            connection.abort()
            return dial(target)

        return run

    def close(self) -> None:
        """Close the connection that was dialled ahead, unless a session uses it."""
        connection = self._take()
        if connection is not None:
            connection.abort()

    def _take(self) -> Connection | None:
        self._release()
        try:
            return self._connections.pop()
        except IndexError:  # used or closed
            return None


def _place(target: DialTarget) -> tuple[Any, ...]:
    return target.url, target.headers, target.position, target.key


class _Marked:
    """A function that makes a session's dial targets, with the headers that mark the dials as this session's.

    A `functools.partial` would take twice the memory.
    """

    __slots__ = ("_dialling", "_limits", "_marks")

    def __init__(self, dialling: Dialling, marks: Headers, limits: ConnectionLimits) -> None:
        self._dialling = dialling
        self._marks = marks
        self._limits = limits

    def __call__(self, model: str, position: int, key: int) -> DialTarget:
        return self._dialling.target(self._marks, self._limits, model, position, key)


class Dialling:
    """The maker of dial targets and dial functions for a router's sessions. Methods may be called from any thread."""

    def __init__(self, config: RouterConfig, redact: Callable[[str], str]) -> None:
        self._config = config
        self._redact = redact
        self._upstreams = config.all_upstreams()
        self._safety_key = signing_key(config, "safety") if config.safety.identifier else b""
        self._dialler: tuple[Observers, Callable[[DialTarget], Connection]] | None = None
        """The last dial function, with its observers. All sessions share it."""
        self.simulator_url = ""
        """The address of the embedded simulator; empty until it runs."""

    def target_of(
        self, front: Front, request: Request, limits: ConnectionLimits
    ) -> Callable[[str, int, int], DialTarget]:
        """Return the function that makes a session's dial target from a model, a position and the index of a key."""
        loop = loops.mark(request.headers)
        if front.dial_target is not None:
            return functools.partial(self._target_of_front, front, (loop,), request.query, limits)
        return self.listed_target_of(request, limits)

    def listed_target_of(self, request: Request, limits: ConnectionLimits) -> Callable[[str, int, int], DialTarget]:
        """Return the same function as `target_of`, but always for the listed upstreams."""
        marks = (loops.mark(request.headers), *self._safety_header(request.principal))
        return _Marked(self, marks, limits)

    def dialler(self, observers: Observers) -> Callable[[DialTarget], Connection]:
        """Return the function that dials a target, and records the time and result of each dial."""
        if self._dialler is None or self._dialler[0] is not observers:
            self._dialler = observers, functools.partial(self._dial, observers)
        return self._dialler[1]

    def _dial(self, observers: Observers, target: DialTarget) -> Connection:
        # Runs on a thread of the connector; raises as `dial` does.
        began_s, result, problem = time.monotonic(), OK, ""
        try:
            return dial(target)
        except DialError as error:
            result, problem = error.kind.name.lower(), self._redact(str(error))
            raise
        finally:
            if target.position is not None:
                observers.upstream_book.record_dial(target.position, result, problem)
            where = "simulator" if target.url.startswith(self.simulator_url or "-") else urlsplit(target.url).netloc
            observers.metrics.observe(DIAL_SECONDS, (where, result), time.monotonic() - began_s)

    def _target_of_front(
        self, front: Front, marks: Headers, query: Mapping[str, str], limits: ConnectionLimits, *_route: Any
    ) -> DialTarget:
        assert front.dial_target is not None  # noqa: S101 - looked at before
        target = front.dial_target(self._config, limits, query)
        return msgspec.structs.replace(target, headers=(*target.headers, *marks))

    def target(self, marks: Headers, limits: ConnectionLimits, model: str, position: int, key: int) -> DialTarget:
        """Make the target of a dial of a listed upstream. `marks` are further headers."""
        upstream, config = self._upstreams[position], self._config
        is_embedded = config.upstream == "simulator"
        return DialTarget(
            url=url_with_model(self.simulator_url, model) if is_embedded else upstream.dial_url(model),
            headers=(*upstream.dial_headers(key), *marks),
            timeout_s=config.deadlines.dial_s,
            ca_file=config.ca_file,
            limits=limits,
            position=position,
            key=key,
        )

    def _safety_header(self, principal: Principal | None) -> Headers:
        if not self._safety_key or principal is None:
            return ()
        # The hash has a key. Without a key, a person could guess the address or number that was hashed.
        digest = hmac.digest(self._safety_key, principal.id.encode("utf-8", "surrogateescape"), "sha256")
        return ((SAFETY_HEADER, digest.hex()),)
