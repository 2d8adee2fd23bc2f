"""All breakers of one process, with the sessions at each key. Methods may be called from any thread."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from router.metrics.catalog import BREAKER_OPENED, BREAKER_STATE
from router.upstreams import choice, evidence
from router.upstreams.breaker import Breaker
from router.upstreams.table import BreakerState, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from actors.connections.upstream import DialTarget
    from actors.restart import Loss
    from router.config.upstream import Upstream
    from router.metrics.metrics import Metrics
    from router.upstreams.evidence import RateLimit

logger = logging.getLogger(__name__)

_NUMBERS: Final = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 1.0, BreakerState.OPEN: 2.0}
"""The values of the metric `switchboard_upstream_breaker`."""


class Lease(msgspec.Struct, eq=False):
    """One session's use of a key, from its dial to its end."""

    position: int
    key: int
    began_s: float
    is_trial: bool = False
    """Whether the dial tries a key that failed before, although another upstream or key could serve the call."""
    is_dialling: bool = True
    has_served: bool = False
    is_over: bool = False
    generation: int = 0
    """The generation of the session's upstream."""
    target: DialTarget | None = None
    """The target of the dial in progress, which tells this dial from others to the same place."""


class Changed(NamedTuple):
    """The change of a breaker's state."""

    position: int
    key: int
    before: BreakerState
    after: BreakerState
    cause: str
    left_s: float


class _Key:
    """One key of an upstream: its breaker, and the sessions that use it."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.leases: set[Lease] = set()

    def rank(self, now_s: float) -> choice.Rank:
        slow_since_s = min((it.began_s for it in self.leases if it.is_dialling), default=None)
        return choice.rank(self.breaker, slow_since_s, now_s)


class UpstreamPool:
    """The health and the load of each upstream and key, as one process knows them.

    Args:
        upstreams: the configured list.
        labels: the printable names of the upstreams, in the order of the list.
        metrics: the counters of this process.
        publish: called with the position, the index of the key and the seconds of the cool-down if a breaker of
            this process opens or, with 0 seconds, closes. It must not block.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        labels: Sequence[str],
        metrics: Metrics,
        publish: Callable[[int, int, float], None] = lambda _position, _key, _left_s: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._labels = tuple(labels)
        self._hosts = _metric_labels(labels)
        self._weights = [it.weight or 0.0 for it in upstreams]
        self._has_weights = any(self._weights)
        self._keys = [[_Key() for _ in range(it.key_count)] for it in upstreams]
        self._metrics = metrics
        self.publish = publish
        self._clock = clock
        self._lock = threading.Lock()

    # The choice of a call.

    def choose(self, positions: Sequence[int], leaving: int | None) -> int:
        """Return the position that a call dials. `positions` are those that it may dial; see `SessionSpec.choose`."""
        now_s = self._clock()
        with self._lock:
            return choice.choose([self._candidate(it, now_s) for it in positions], leaving)

    def rank(self, position: int) -> choice.Rank:
        """Return the rank of an upstream, which is the rank of its best key."""
        now_s = self._clock()
        with self._lock:
            return self._candidate(position, now_s).rank

    def take(self, position: int, alternatives: Iterable[int] = ()) -> Lease:
        """Record the dial of an upstream, and return its lease, which names the key for the dial.

        `alternatives` are the other positions that the call may dial. With the other keys, they decide whether the dial
        is a trial.
        """
        now_s = self._clock()
        with self._lock:
            keys = self._keys[position]
            index = min(range(len(keys)), key=lambda it: (keys[it].rank(now_s), len(keys[it].leases)))
            chosen = keys[index]
            was_closed = chosen.breaker.state is BreakerState.CLOSED
            others = [it for it in keys if it is not chosen] + [key for it in alternatives for key in self._keys[it]]
            # Another key on trial is no alternative, because the call may wait there as long.
            is_trial = not was_closed and any(
                it.breaker.state is BreakerState.CLOSED and it.rank(now_s).tier == choice.USABLE for it in others
            )
            chosen.breaker.take(Event.DIALLED, now_s)
            lease = Lease(position, index, now_s, is_trial)
            chosen.leases.add(lease)
            return lease

    # The events of a lease.

    def connected(self, lease: Lease) -> None:
        """Record that the dial of a lease succeeded."""
        if not lease.is_over:
            lease.is_dialling = False
            self._take(lease.position, lease.key, Event.CONNECTED)

    def served(self, lease: Lease) -> None:
        """Record that the upstream of a lease serves its session."""
        lease.is_dialling, lease.has_served = False, True
        self._take(lease.position, lease.key, Event.SERVED)

    def lost(self, lease: Lease, loss: Loss) -> bool:
        """Record a loss. Return whether another key of the same upstream may serve the session."""
        self._end(lease)
        event, demanded_s = evidence.of_loss(loss, has_served=lease.has_served)
        # A loss that says nothing about the key leaves the trial without a result.
        self._take(lease.position, lease.key, event or Event.ABANDONED, demanded_s)
        now_s = self._clock()
        with self._lock:
            others = (it for index, it in enumerate(self._keys[lease.position]) if index != lease.key)
            return event is not None and any(it.rank(now_s).tier == choice.USABLE for it in others)

    def limited(self, lease: Lease, limits: Iterable[RateLimit]) -> None:
        """Record the rate limits that the upstream of a lease reports."""
        demanded_s = evidence.of_limits(limits)
        if demanded_s:
            self._take(lease.position, lease.key, Event.TOLD, demanded_s)

    def release(self, lease: Lease) -> None:
        """Record that a session no longer uses its lease. A second call has no effect."""
        if lease.is_over:
            return
        self._end(lease)
        if lease.is_dialling:
            self._take(lease.position, lease.key, Event.ABANDONED)

    # From other machines.

    def warn(self, position: int, key: int, left_s: float) -> None:
        """Record that the breaker of a key is open on another machine, for another `left_s` seconds."""
        self._take(position, key, Event.WARNED, left_s)

    def clear(self, position: int, key: int) -> None:
        """Record that the breaker of a key is no longer open on another machine."""
        self._take(position, key, Event.CLEARED)

    # For an operator.

    def rows(self) -> list[dict[str, Any]]:
        """Return the weight of each upstream, and for each of its keys the breaker and the sessions."""
        now_s = self._clock()
        with self._lock:
            return [
                {"weight": weight, "keys": [_row(index, it, now_s) for index, it in enumerate(keys)]}
                for weight, keys in zip(self._weights, self._keys, strict=True)
            ]

    def sample(self) -> None:
        """Set the gauges of the breakers. The gauge of an upstream shows the state of its best key."""
        now_s = self._clock()
        with self._lock:
            states = [min(_NUMBERS[it.breaker.shown(now_s)] for it in keys) for keys in self._keys]
        for host, state in zip(self._hosts, states, strict=True):
            self._metrics.set(BREAKER_STATE, (host,), state)

    # Steps.

    def _candidate(self, position: int, now_s: float) -> choice.Candidate:
        keys = self._keys[position]
        sessions = sum(len(it.leases) for it in keys)
        return choice.Candidate(position, min(it.rank(now_s) for it in keys), self._weights[position], sessions)

    def _end(self, lease: Lease) -> None:
        with self._lock:
            lease.is_over = True
            self._keys[lease.position][lease.key].leases.discard(lease)

    def _take(self, position: int, key: int, event: Event, demanded_s: float = 0.0) -> None:
        now_s = self._clock()
        with self._lock:
            breaker = self._keys[position][key].breaker
            left_before_s = breaker.left_s(now_s)
            before, after = breaker.take(event, now_s, demanded_s)
            left_s = breaker.left_s(now_s)
            changed = Changed(position, key, before, after, breaker.cause, left_s)
        is_longer = after is BreakerState.OPEN and left_s > left_before_s
        if before is not after:
            self._tell(changed)
        if event not in (Event.WARNED, Event.CLEARED) and (is_longer or _closes(changed)):
            self.publish(position, key, left_s)

    def _tell(self, changed: Changed) -> None:
        where = f"upstream {changed.position} ({self._labels[changed.position]})"
        if len(self._keys[changed.position]) > 1:
            where = f"{where}, key {changed.key}"
        if _closes(changed):
            logger.info("%s answers again: its breaker closes, and new calls dial it", where)
        elif changed.after is BreakerState.OPEN and changed.left_s:
            self._metrics.add(BREAKER_OPENED, (self._hosts[changed.position], changed.cause))
            logger.warning(
                "%s: its breaker opens (%s): new calls dial it as the last resort for %.0f s",
                *(where, changed.cause, changed.left_s),
            )


def _closes(changed: Changed) -> bool:
    return changed.after is BreakerState.CLOSED and changed.before is not BreakerState.CLOSED


def _row(index: int, key: _Key, now_s: float) -> dict[str, Any]:
    return {
        "key": index,
        "breaker": key.breaker.shown(now_s).value,
        "cause": key.breaker.cause,
        "cool_down_s": round(key.breaker.left_s(now_s), 3),
        "sessions": len(key.leases),
    }


def _metric_labels(labels: Sequence[str]) -> list[str]:
    """Return the hosts of the upstreams. If a host occurs twice, the position of the upstream is added to it."""
    hosts = [urlsplit(it).netloc or it for it in labels]
    return [it if hosts.count(it) == 1 else f"{it} {position}" for position, it in enumerate(hosts)]
