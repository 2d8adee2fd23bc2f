"""The open breakers of several machines, shared through Redis.

Redis has one key for each open breaker. The key expires with the cool-down. Each process writes the breakers that it
opens, and reads all of them every second. While Redis does not answer, each process uses its own knowledge.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from router.metrics.catalog import HEALTH_STORE_AWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.config.upstream import Upstream
    from router.metrics.metrics import Metrics
    from router.upstreams.pool import UpstreamPool

logger = logging.getLogger(__name__)

READ_S: Final = 1.0
"""The interval in seconds at which a process reads the breakers of other processes."""
CLOSE_S: Final = 1.0
PREFIX: Final = "switchboard:upstream:"

_SHORTEST_MS: Final = 100
"""If at most this time of a cool-down remains, in milliseconds, the cool-down is ignored."""


class SharedBreakers:
    """The link between a process's pool and Redis.

    Args:
        pool: the pool, which is notified of the breakers that other machines opened.
        upstreams: the configured list. Machines share the state of upstreams with the same URL, model and credential.
        connect: makes the client of Redis, on the thread that uses it.
        metrics: the counters of this process.
    """

    def __init__(
        self, pool: UpstreamPool, upstreams: Sequence[Upstream], connect: Callable[[], Any], metrics: Metrics
    ) -> None:
        self._pool = pool
        self._names = {
            (position, key): _name(upstream, key)
            for position, upstream in enumerate(upstreams)
            for key in range(upstream.key_count)
        }
        self._connect = connect
        self._metrics = metrics
        self._lock = threading.Lock()
        self._unsent: dict[tuple[int, int], float] = {}
        """The length in seconds of each cool-down that was not written to Redis yet; 0 for a breaker that closed."""
        self._open: set[tuple[int, int]] = set()
        """The breakers that Redis had at the latest reading."""
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._is_away = False

    def start(self) -> None:
        """Begin to read and write. A second call does nothing."""
        with self._lock:
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(target=self._run, name="upstream-health", daemon=True)
                self._thread.start()

    def publish(self, position: int, key: int, left_s: float) -> None:
        """Publish that a breaker opened for `left_s` seconds or, with 0 seconds, closed. The call does not block."""
        with self._lock:
            self._unsent[position, key] = left_s
        self._wake.set()

    def close(self) -> None:
        """End the thread. Wait at most `CLOSE_S` seconds for its end."""
        self._is_closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    # On the thread.

    def _run(self) -> None:
        import redis  # noqa: PLC0415 - an extra, which few configurations need

        store = self._connect()
        try:
            while not self._is_closing:
                self._wake.clear()
                try:
                    self.exchange(store)
                    self._is_away = False
                except redis.RedisError as error:
                    self._note_away(error)
                self._wake.wait(READ_S)
        finally:
            store.close()

    def exchange(self, store: Any) -> None:
        """Write the changes of this process to Redis, and read the open breakers of all processes."""
        with self._lock:
            unsent, self._unsent = self._unsent, {}
        try:
            left_ms = self._ask(store, unsent)
        except Exception:
            with self._lock:
                self._unsent = {**unsent, **self._unsent}
            raise
        found = {place for place, left in left_ms.items() if left > _SHORTEST_MS}
        for position, key in self._open - found:
            self._pool.clear(position, key)
        with self._lock:
            # Skip keys about which this process knows more than the answer: it changed them before or during the
            # exchange.
            own = unsent.keys() | self._unsent.keys()
        for place in found - own:
            self._pool.warn(*place, left_ms[place] / 1000)
        self._open = found

    def _ask(self, store: Any, unsent: dict[tuple[int, int], float]) -> dict[tuple[int, int], int]:
        pipeline = store.pipeline(transaction=False)
        for place, left_s in unsent.items():
            if left_s:
                pipeline.set(self._names[place], "open", px=max(1, round(left_s * 1000)))
            else:
                pipeline.delete(self._names[place])
        for name in self._names.values():
            pipeline.pttl(name)
        answers = pipeline.execute()[len(unsent) :]
        return dict(zip(self._names, answers, strict=True))

    def _note_away(self, error: Exception) -> None:
        self._metrics.add(HEALTH_STORE_AWAY)
        if not self._is_away:
            self._is_away = True
            logger.warning(
                "the state of the upstreams is not shared: Redis does not answer (%s); this process uses its own",
                type(error).__name__,
            )


def _name(upstream: Upstream, key: int) -> str:
    # Use a hash, because the URL and the key may be secrets.
    credential = repr(upstream.dial_headers(key)) if upstream.url != "simulator" else ""
    text = f"{upstream.url}\0{upstream.model}\0{credential}"
    return PREFIX + hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
