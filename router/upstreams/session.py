"""One session's use of the pool. All methods except `dialling` run on the supervisor's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from actors import lifecycle
from router.session import reports
from router.session.state.queues import without

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

    __slots__ = ("_count", "_generation", "_is_paused", "_leases", "_make_target", "_pool")

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
        self._leases: tuple[Lease, ...] = ()
        """The lease of each generation, in order. It is a tuple, because the connector's threads read it, too."""

    def choose(self, positions: Sequence[int], leaving: int | None) -> int:
        """Return the position to dial; see `SessionSpec.choose`."""
        return self._pool.choose(positions, leaving)

    def rank(self, position: int) -> Rank:
        """Return the rank of a position; see `UpstreamPool.rank`."""
        return self._pool.rank(position)

    def position_of(self, generation: int) -> int | None:
        """Return the position of the upstream of a generation; None if that upstream is not in the list."""
        lease = self._of(generation)
        return lease.position if lease is not None else None

    def has_served(self, generation: int) -> bool:
        """Whether the upstream of a generation has served the session."""
        lease = self._of(generation)
        return lease is not None and lease.has_served

    def target(self, model: str, position: int) -> DialTarget:
        """Take a key of an upstream, and return the target of the dial."""
        others = (it for it in range(self._count) if it != position and not self._is_paused(it))
        lease = self._pool.take(position, others)
        lease.generation = self._generation
        self._leases = (*(it for it in self._leases if it.generation != lease.generation), lease)
        target = self._make_target(model, position, lease.key)
        if lease.is_trial:
            target = msgspec.structs.replace(target, timeout_s=min(target.timeout_s, TRIAL_DIAL_S))
        lease.target = target
        return target

    def dialling(self, dial: Callable[[DialTarget], Connection]) -> Callable[[DialTarget], Connection]:
        """Wrap `dial`, so that the pool is notified of each dial that succeeds.

        The connector's threads call the result.
        """
        return _Dialler(dial, self)

    def connected(self, target: DialTarget) -> None:
        """Report a dial that succeeded to the pool, unless its loss was reported before."""
        # Another dial of this session may have the same position and key, also in the pool of the other backend.
        lease = next((it for it in self._leases if it.target is target), None)
        if lease is not None:
            lease.target = None
            self._pool.connected(lease)

    def note_loss(self, generation: int, loss: Loss) -> bool:
        """Report a loss to the pool; see `SessionSpec.note_loss`."""
        lease = self._of(generation)
        if lease is None:
            return False
        self._leases = without(self._leases, lease)
        return self._pool.lost(lease, loss)

    def observe(self, event: Any) -> None:
        """Take an event of the supervisor, or a notification of the session."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)

    def _requested(self, event: lifecycle.UpstreamRequested) -> None:
        self._generation = event.generation

    def _took_over(self, event: reports.UpstreamTookOver) -> None:
        lease = self._of(event.generation)
        if lease is not None:
            self._pool.served(lease)
        # A rollover closes the former upstream, and no loss is reported for it.
        self._release([it for it in self._leases if it.generation < event.generation])

    def _limits_left(self, event: reports.RateLimitsLeft) -> None:
        newest = next((it for it in reversed(self._leases) if it.position == event.position), None)
        if newest is not None:
            self._pool.limited(newest, event.limits)

    def _ended(self, _event: lifecycle.SessionEnded) -> None:
        self._release(self._leases)

    def _of(self, generation: int) -> Lease | None:
        return next((it for it in self._leases if it.generation == generation), None)

    def _release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._leases = without(self._leases, lease)
            self._pool.release(lease)

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        lifecycle.UpstreamRequested: _requested,
        reports.UpstreamTookOver: _took_over,
        reports.RateLimitsLeft: _limits_left,
        lifecycle.SessionEnded: _ended,
    }


class _Dialler:
    """A function that dials, and reports each dial that succeeds. A closure would take twice the memory."""

    __slots__ = ("_dial", "_upstreams")

    def __init__(self, dial: Callable[[DialTarget], Connection], upstreams: SessionUpstreams) -> None:
        self._dial = dial
        self._upstreams = upstreams

    def __call__(self, target: DialTarget) -> Connection:
        connection = self._dial(target)
        self._upstreams.connected(target)
        return connection
