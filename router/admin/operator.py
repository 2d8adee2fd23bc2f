"""The effects of an operator's verbs in one process, except those on single sessions."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from actors import lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.dispatcher import Dispatcher
    from router.admin.switches import Switches
    from router.admin.upstreams import UpstreamBook

logger = logging.getLogger(__name__)

ASK_S: Final = 1.0
"""The longest wait for the supervisor's answer, in seconds."""

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Runtime(Protocol):
    """The part of the running router that the operator needs."""

    dispatchers: list[Dispatcher]

    def ask(self, message: Any, *, default: Any, timeout_s: float) -> Any:
        """Ask the supervisor; return `default` if none runs."""

    def problems(self) -> list[str]:
        """Return the problems of the dispatchers."""


class Pool(Protocol):
    """The part of the pool of upstreams that the operator needs."""

    def rows(self) -> list[dict[str, Any]]:
        """Return the weight of each upstream, and for each of its keys the breaker and the sessions."""


class Operator:
    """The effects of an operator's verbs on one router.

    Some methods wait for the supervisor, so a dispatcher's thread must not call them.
    """

    def __init__(
        self,
        runtime: Runtime,
        switches: Switches,
        upstreams: UpstreamBook,
        pool: Pool,
        *,
        drain_s: float,
        positions: Callable[[], Iterable[int]],
        records: bool = False,
    ) -> None:
        self.switches = switches
        self._runtime = runtime
        self._upstreams = upstreams
        self._pool = pool
        self._drain_s = drain_s
        self._positions = positions
        """A function that returns, for each session, the position of its upstream."""
        self.records = records
        """Whether there is a folder for recordings."""
        self._started_s = time.monotonic()

    def drain_session(self, session_id: str) -> bool:
        """End a session after the turn in progress. Return whether this process has the session."""
        asked = lifecycle.DrainOne(session_id, self._drain_s)
        return bool(self._runtime.ask(asked, default=False, timeout_s=ASK_S))

    def has_upstream(self, position: int) -> bool:
        """Whether the list has an upstream at this position."""
        return 0 <= position < len(self._upstreams.labels)

    def pause(self, position: int) -> int:
        """Pause an upstream, and return the number of sessions that move to another one."""
        self.switches.pause(position, is_paused=True)
        asked = lifecycle.LeaveUpstream(position)
        moving = int(self._runtime.ask(asked, default=0, timeout_s=ASK_S))
        logger.warning("an operator paused upstream %d: %d sessions move", position, moving)
        return moving

    def resume(self, position: int) -> int:
        """End the pause of an upstream.

        Return 0, because no session moves now: sessions return to the upstream at their next dial.
        """
        self.switches.pause(position, is_paused=False)
        logger.warning("an operator resumed upstream %d", position)
        return 0

    def record(self, percent: int) -> bool:
        """Record this percentage of the new sessions from now on. Return whether there is a folder for recordings."""
        if self.records:
            self.switches.record_percent = percent
            logger.warning("an operator set the share of recorded sessions to %d %%", percent)
        return self.records

    def upstreams(self) -> list[dict[str, Any]]:
        """Return a row of facts for each upstream, from what this process alone knows."""
        rows = self._upstreams.rows(Counter(self._positions()))
        return [{**row, **health} for row, health in zip(rows, self._pool.rows(), strict=True)]

    def worker(self) -> dict[str, Any]:
        """Return this process's row in the list of workers: pid, uptime, memory, lag, log level, problems."""
        lags_s = [dispatcher.lag_s for dispatcher in self._runtime.dispatchers]
        return {
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "memory_bytes": _memory_bytes(),
            "dispatchers": len(lags_s),
            "lag_s": round(max(lags_s, default=0.0), 6),
            "log_level": logging.getLevelName(logging.getLogger().level).lower(),
            "problems": self._runtime.problems(),
        }


def _memory_bytes() -> int | None:
    try:
        with open("/proc/self/statm", encoding="ascii") as facts:  # noqa: PTH123 - a file of the kernel's
            return int(facts.read().split()[1]) * _PAGE_BYTES
    except OSError:  # no Linux
        return None
