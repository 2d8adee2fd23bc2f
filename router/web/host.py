"""The gunicorn of a host application that embeds a router: whether its worker ends, and how much time remains then.

gunicorn does not report these two facts to an application, and does not wait for sockets that were handed over. The
router reads both from the worker object. It finds that object as the owner of the process's signal handlers.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from router.web import internals

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

POLL_S: Final = 0.25

WORKER_SIGNALS: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT, signal.SIGUSR1)
"""Signals that a worker handles.

One handler is enough to find the worker, because an application may have replaced others.
"""

RESERVE_S: Final = 3.0
"""The seconds of a worker's time-out that remain for close handshakes, and for the interval of `watch`."""


class Host:
    """The gunicorn worker of this process. Methods may be called from any thread."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    @property
    def is_leaving(self) -> bool:
        """Whether the worker ends: after a signal, or because it has served its number of requests."""
        return not self._worker.alive

    def drain_s(self, configured_s: float) -> float:
        """Return the seconds for a drain: `configured_s`, or less if gunicorn kills the worker earlier.

        `--graceful-timeout` counts from the signal, and `--timeout` from the worker's last sign of life, which is
        later.
        """
        cfg = self._worker.cfg
        # 0 switches a time-out off.
        limits_s = [float(limit) - RESERVE_S for limit in (cfg.timeout, cfg.graceful_timeout) if limit]
        return max(0.0, min([configured_s, *limits_s]))

    def watch(self, is_over: threading.Event, on_leave: Callable[[], None]) -> None:
        """Start a thread that calls `on_leave` when the worker begins to end. The thread ends when `is_over` is set."""
        threading.Thread(target=self._poll, args=(is_over, on_leave), name="host-watch", daemon=True).start()

    def _poll(self, is_over: threading.Event, on_leave: Callable[[], None]) -> None:
        while not is_over.wait(POLL_S):
            if self.is_leaving:
                logger.info("gunicorn's worker is ending: draining its calls")
                on_leave()
                return


def find() -> Host | None:
    """Find the gunicorn worker of this process.

    Return None outside of gunicorn, for a `router.web.worker`, and if gunicorn lacks a part that the router uses.
    """
    base = sys.modules.get("gunicorn.workers.base")
    handlers = (signal.getsignal(number) for number in WORKER_SIGNALS)
    for worker in (getattr(handler, "__self__", None) for handler in handlers):
        if base is not None and isinstance(worker, base.Worker):
            return None if type(worker).__module__.startswith("router.") else _host(worker)
    return None


def _host(worker: Any) -> Host | None:
    problem = internals.problem(internals.HOST)
    if problem:
        logger.warning("calls are cut when the worker ends, without a drain: %s", problem)
        return None
    return Host(worker)
