"""The load of a process, for load balancers: the share in use of its fullest limit. Pure."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

FULL_LAG_S: Final = 0.25
"""If a dispatcher lags by this many seconds, its process counts as full.

A caller hears a delay of this length. The metric `switchboard_dispatcher_lag_seconds` shows the lag.
"""

PARAMETER: Final = "load"
"""The parameter of `/readyz` with a load. Above this load a process is not ready, and gets no new calls."""

UNREADY: Final = "unready"
"""The parameter of `/readyz` with the HTTP status for "not ready". With 404, HAProxy keeps the present calls."""

STATUSES: Final = {str(it.value): it for it in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)}


class ProbeError(ValueError):
    """A parameter of a probe is invalid. The text describes the valid values."""


def load_of(limits: Iterable[tuple[str, float, float]], lag_s: float) -> float:
    """Return the load. 1.0 is full, and a higher load is possible.

    Args:
        limits: the name, the used amount and the bound of each limit; a bound of 0 means no limit.
        lag_s: the longest lag of a dispatcher in seconds.
    """
    return max([lag_s / FULL_LAG_S, *(used / bound for _, used, bound in limits if bound)])


def most_of(given: str) -> float:
    """Return the largest load at which a probe counts a process as ready.

    Raises:
        ProbeError: the text is no number above 0.
    """
    try:
        most = float(given)
    except ValueError:
        most = math.nan
    if not 0 < most < math.inf:
        raise ProbeError(f"{PARAMETER} must be a number above 0, such as 0.9; 1 stands for a full process")
    return most


def status_of(given: str) -> HTTPStatus:
    """Return the HTTP status of the answer "not ready", as the parameter of a probe gives it.

    Raises:
        ProbeError: the text is no such status.
    """
    if given not in STATUSES:
        raise ProbeError(f"{UNREADY} must be one of {', '.join(STATUSES)}")
    return STATUSES[given]
