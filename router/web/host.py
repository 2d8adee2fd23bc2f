"""Somebody else's gunicorn, in which a router may live: when its worker is told to end, and how long it has then.

gunicorn tells an application neither, and does not wait for sockets that were handed over. What is known of it is read
from its worker, whose methods handle the process's signals. Written against gunicorn 27.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.25

ITS_SIGNALS: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT, signal.SIGUSR1)
"""What a worker handles; an application may have taken some for itself."""

SPARE_S: Final = 3.0
"""What has to be left of the worker's time when the sessions' is up: for close handshakes, and for our looking."""


class Host:
    """The gunicorn worker of this process. From any thread."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    @property
    def is_leaving(self) -> bool:
        """Whether it has been told to end, or has served its number of requests."""
        return not self._worker.alive

    def drain_s(self, wanted_s: float) -> float:
        """What sessions may take once it is leaving: `wanted_s`, or less, for it is killed after its time-outs.

        `--graceful-timeout` counts from the signal; `--timeout` from the worker's last sign of life, which is later.
        """
        cfg = self._worker.cfg
        limits_s = [float(limit) - SPARE_S for limit in (cfg.timeout, cfg.graceful_timeout) if limit]
        return max(0.0, min([wanted_s, *limits_s]))

    def watch(self, is_over: threading.Event, on_leave: Callable[[], None]) -> None:
        """Call `on_leave` once the worker is leaving, on a thread that ends with `is_over`."""
        threading.Thread(target=self._look, args=(is_over, on_leave), name="host-watch", daemon=True).start()

    def _look(self, is_over: threading.Event, on_leave: Callable[[], None]) -> None:
        while not is_over.wait(LOOK_S):
            if self.is_leaving:
                logger.info("gunicorn's worker is leaving: its calls are drained")
                on_leave()
                return


def find() -> Host | None:
    """The gunicorn worker that runs this process, if one does that is not our own: `run.py`'s drains by itself."""
    base = sys.modules.get("gunicorn.workers.base")
    handlers = (signal.getsignal(number) for number in ITS_SIGNALS)
    for worker in (getattr(handler, "__self__", None) for handler in handlers):
        if base is not None and isinstance(worker, base.Worker):
            return None if type(worker).__module__.startswith("router.") else Host(worker)
    return None
