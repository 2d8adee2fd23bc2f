"""One session's use of the pool. All methods except `dialling` run on the supervisor's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from actors import lifecycle
from router.session import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from actors.restart import Loss
    from router.upstreams.choice import Rank
    from router.upstreams.pool import Lease, UpstreamPool

TRIAL_DIAL_S: Final = 2.0
"""The longest dial with a key on trial, in seconds. Afterwards another upstream or key serves the caller."""


class SessionUpstreams:
    """The upstreams of one session: its choice of upstream and key, and its reports to the pool.

    Args:
        pool: the pool of the process.
        make_target: makes the target of a dial, from a model, a position and the index of a key.
        is_paused: whether a position is closed to this session.
        count: the number of upstreams in the list.
    """

    def __init__(
        self,
        pool: UpstreamPool,
        make_target: Callable[[str, int, int], DialTarget],
        is_paused: Callable[[int], bool],
        count: int,
    ) -> None:
        self._pool = pool
        self._make_target = make_target
        self._is_paused = is_paused
        self._count = count
        self._generation = 0
        """The generation that the session requested last."""
        self._leases: dict[int, Lease] = {}
        """The lease of each generation."""
        self._dialling: dict[tuple[int | None, int], Lease] = {}
        """The leases whose dial may be in progress, by the position and the key of the target."""

    def choose(self, positions: Sequence[int], leaving: int | None) -> int:
        """Return the position to dial; see `SessionSpec.choose`."""
        return self._pool.choose(positions, leaving)

    def rank(self, position: int) -> Rank:
        """Return the rank of a position; see `UpstreamPool.rank`."""
        return self._pool.rank(position)

    def position_of(self, generation: int) -> int | None:
        """Return the position of a generation; None if it is not one of these upstreams."""
        lease = self._leases.get(generation)
        return lease.position if lease is not None else None

    def has_served(self, generation: int) -> bool:
        """Whether the upstream of a generation has served the session."""
        lease = self._leases.get(generation)
        return lease is not None and lease.has_served

    def target(self, model: str, position: int) -> DialTarget:
        """Take a key of an upstream, and return the target of the dial."""
        others = (it for it in range(self._count) if it != position and not self._is_paused(it))
        lease = self._pool.take(position, others)
        self._leases[self._generation] = lease
        target = self._make_target(model, position, lease.key)
        self._dialling[target.position, target.key] = lease
        if lease.is_trial:
            target = msgspec.structs.replace(target, timeout_s=min(target.timeout_s, TRIAL_DIAL_S))
        return target

    def dialling(self, dial: Callable[[DialTarget], Connection]) -> Callable[[DialTarget], Connection]:
        """Wrap `dial`, so that the pool is notified of each dial that succeeds.

        The result runs on the connector's threads.
        """

        def run(target: DialTarget) -> Connection:
            connection = dial(target)
            lease = self._dialling.get((target.position, target.key))
            if lease is not None:
                self._pool.connected(lease)
            return connection

        return run

    def note_loss(self, generation: int, loss: Loss) -> bool:
        """Report a loss to the pool; see `SessionSpec.note_loss`."""
        lease = self._leases.pop(generation, None)
        return lease is not None and self._pool.lost(lease, loss)

    def observe(self, event: Any) -> None:
        """Take an event of the supervisor, or a notification of the session."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)

    def _requested(self, event: lifecycle.UpstreamRequested) -> None:
        self._generation = event.generation

    def _took_over(self, event: reports.UpstreamTookOver) -> None:
        lease = self._leases.get(event.generation)
        if lease is not None:
            self._pool.served(lease)
        # A rollover closes the previous upstream, for which no loss is reported.
        self._release([it for it in self._leases if it < event.generation])

    def _limits_left(self, event: reports.RateLimitsLeft) -> None:
        newest = max((it for it, lease in self._leases.items() if lease.position == event.position), default=None)
        if newest is not None:
            self._pool.limited(self._leases[newest], event.limits)

    def _ended(self, _event: lifecycle.SessionEnded) -> None:
        self._release(list(self._leases))

    def _release(self, generations: Sequence[int]) -> None:
        for generation in generations:
            self._pool.release(self._leases.pop(generation))

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        lifecycle.UpstreamRequested: _requested,
        reports.UpstreamTookOver: _took_over,
        reports.RateLimitsLeft: _limits_left,
        lifecycle.SessionEnded: _ended,
    }
