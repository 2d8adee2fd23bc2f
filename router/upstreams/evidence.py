"""The meaning of a loss of an upstream, or of a report of its rate limits, as an event of its key. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from actors.connections.close_codes import CloseCode
from actors.connections.upstream import DialFailure
from actors.restart import UNAUTHORIZED, Loss, LossKind
from router.upstreams.table import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LIMITED_S: Final = 10.0
"""The cool-down in seconds after an HTTP 429 that names no time."""
LITTLE: Final = 0.01
"""If less than this fraction of a rate limit remains, a new call would reach the limit."""
LEAST_S: Final = 1.0
"""If a rate limit resets sooner than this, in seconds, new calls do not avoid the upstream."""

ACCOUNT_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "account_deactivated",
        "invalid_api_key",
    }
)
"""The upstream's codes about the credential and its account.

The other fatal codes are about the model, which a client may choose. Such a client must not make other calls avoid the
upstream.
"""


class Evidence(NamedTuple):
    """The meaning of a loss."""

    event: Event | None
    """The event of the key; None if the loss says nothing about the key."""
    demanded_s: float = 0.0
    """The seconds for which the upstream demands no new call."""


class RateLimit(Protocol):
    """A rate limit as an upstream reports it."""

    @property
    def limit(self) -> float | None:
        """The whole limit."""

    @property
    def left(self) -> float | None:
        """The remaining part."""

    @property
    def reset_s(self) -> float | None:
        """The seconds until the whole limit is available again."""


class _Row(NamedTuple):
    name: str
    applies: Callable[[Loss, bool], bool]
    event: Event | None


def _is_of_router(loss: Loss, _served: bool) -> bool:
    return loss.kind is LossKind.FAILED or loss.cause in _OF_ROUTER


def _names_a_time(loss: Loss, _served: bool) -> bool:
    return loss.kind is LossKind.HTTP and loss.retry_after_s is not None


def _is_refused(loss: Loss, _served: bool) -> bool:
    is_credential = loss.kind is LossKind.HTTP and loss.code in UNAUTHORIZED
    return is_credential or bool(ACCOUNT_CODES & {loss.cause, loss.reason.rpartition(".")[2]})


def _is_limited(loss: Loss, _served: bool) -> bool:
    return loss.kind is LossKind.HTTP and loss.code == HTTPStatus.TOO_MANY_REQUESTS


def _concerns_request(loss: Loss, _served: bool) -> bool:
    is_http = loss.kind is LossKind.HTTP and loss.code is not None
    return loss.is_fatal or (is_http and HTTPStatus.BAD_REQUEST <= (loss.code or 0) < _SERVER_ERRORS)


def _timed_out(loss: Loss, has_served: bool) -> bool:
    is_dial = loss.kind is LossKind.NOT_DIALLED and loss.cause == DialFailure.TIMEOUT.value
    return is_dial or (loss.kind is LossKind.SILENT and not has_served)


def _failed(loss: Loss, has_served: bool) -> bool:
    has_failed = loss.kind in (LossKind.HTTP, LossKind.NOT_DIALLED, LossKind.SILENT, LossKind.MALFORMED)
    return has_failed or not has_served or loss.code == CloseCode.TRY_AGAIN_LATER


_SERVER_ERRORS: Final = 500
_OF_ROUTER: Final = frozenset({DialFailure.BUSY.value, "paused by an operator"})

ROWS: Final = (
    _Row("our own failure, or too many dials at once", _is_of_router, None),
    _Row("an HTTP status with Retry-After", _names_a_time, Event.TOLD),
    _Row("HTTP 401 or 403, a refused key, an empty account", _is_refused, Event.REFUSED),
    _Row("HTTP 429 without a time", _is_limited, Event.TOLD),
    _Row("any other HTTP 4xx, or a fatal code: the request or its model", _concerns_request, None),
    _Row("the upstream ended a session that had reached its age", lambda loss, _: loss.kind is LossKind.REFUSED, None),
    _Row("the dial timed out, or the upstream was silent before it served", _timed_out, Event.TIMED_OUT),
    _Row("another failed dial, HTTP 5xx, silence, a close before it served or with 1013", _failed, Event.FAILED),
    _Row("any other end of a session that was served", lambda _loss, _served: True, None),
)
"""Name, condition and event of each row. The first row that applies decides."""


def of_loss(loss: Loss, *, has_served: bool) -> Evidence:
    """Return the meaning of a loss. `has_served` says whether the upstream had acknowledged the configuration."""
    event = next(row.event for row in ROWS if row.applies(loss, has_served))
    demanded_s = loss.retry_after_s if loss.retry_after_s is not None else LIMITED_S
    return Evidence(event, demanded_s if event is Event.TOLD else 0.0)


def of_limits(limits: Iterable[RateLimit]) -> float:
    """Return the seconds until the rate limits allow a new call; 0 if they allow it now."""
    waits = (it.reset_s or 0.0 for it in limits if it.limit and it.left is not None and it.left < it.limit * LITTLE)
    longest_s = max(waits, default=0.0)
    return longest_s if longest_s >= LEAST_S else 0.0
