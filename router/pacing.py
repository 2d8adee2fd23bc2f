"""The pacing of new calls: one starts at a time, and none while the dispatchers lag. Threads of the web server wait."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.dispatcher import Dispatcher

LAG_LIMIT_S: Final = 0.005
"""The largest lag of a dispatcher, in seconds, at which another call may start."""
POLL_S: Final = 0.005
MAX_WAIT_S: Final = 2.0
"""The longest wait of a call in seconds. Then it starts in any case: a late call is better than a refused one."""


class CallPacer:
    """The queue of new calls.

    The start of a call costs as much CPU time as one second of talk, so present callers would hear a storm of starts.

    Measured with 500 new clients within 2 s beside 100 talking ones: pacing lowers the p99 latency of the talking
    clients' audio to a third.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def wait(self, dispatchers: Iterable[Dispatcher]) -> None:
        """Wait until it is this thread's turn and no dispatcher lags, or until `MAX_WAIT_S` have passed."""
        until_s = time.monotonic() + MAX_WAIT_S
        if not self._lock.acquire(timeout=MAX_WAIT_S):
            return
        try:
            # Polled: a dispatcher that lags has no time to spare for notifying this thread.
            while any(it.lag_s > LAG_LIMIT_S for it in dispatchers) and time.monotonic() < until_s:
                time.sleep(POLL_S)
        finally:
            self._lock.release()
