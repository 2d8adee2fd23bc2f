"""The upstreams of a session that two backends may serve: the listed upstreams, and Deepgram's Voice Agent after them.

The engine sees one list. The position after the listed upstreams is Deepgram's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import lifecycle
from router.session import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from actors.restart import Loss
    from router.upstreams.choice import Rank
    from router.upstreams.session import SessionUpstreams


class Backends:
    """The upstreams of one session, of both backends. Methods run on the supervisor's thread.

    Args:
        listed: the session's use of the listed upstreams.
        deepgram: the session's use of Deepgram's pool, in which Deepgram has the position 0.
        position: the position of Deepgram in this object, which is the number of the listed upstreams.
        prefers_deepgram: whether the session's route is one of Deepgram's. If so, the listed upstreams are the
            fallback. If not, Deepgram is the fallback.
        relay_route: the route by which the relay of Deepgram asks for an upstream.
        model: the model for the listed upstreams if the relay asked for the dial.
    """

    def __init__(
        self,
        listed: SessionUpstreams,
        deepgram: SessionUpstreams,
        *,
        position: int,
        prefers_deepgram: bool,
        relay_route: str,
        model: str,
    ) -> None:
        self._listed = listed
        self._deepgram = deepgram
        self._position = position
        self._prefers_deepgram = prefers_deepgram
        self._relay_route = relay_route
        self._model = model
        self._is_standby = False
        """Whether the next dial is for a standby, which must belong to the backend in use."""
        self._is_relayed = prefers_deepgram
        """Whether the latest dial was to Deepgram."""
        self._failed: set[int] = set()
        """The positions that failed since an upstream last served the session. They are dialled last."""

    def choose(self, positions: Sequence[int], leaving: int | None) -> int:
        """Return the position to dial; see `SessionSpec.choose`. The preferred backend comes before the fallback."""
        listed = [it for it in positions if it != self._position]
        if self._is_standby and not self._is_relayed and listed:
            return self._listed.choose(listed, leaving)
        candidates = [it for it in positions if it == self._position]
        if listed:
            fresh = [it for it in listed if it not in self._failed]
            candidates.append(self._listed.choose(fresh or listed, leaving))
        return min(candidates, key=lambda it: self._order(it, leaving))

    def _order(self, position: int, leaving: int | None) -> tuple[bool, Rank, bool, bool]:
        is_deepgram = position == self._position
        rank = self._deepgram.rank(0) if is_deepgram else self._listed.rank(position)
        is_fallback = is_deepgram is not self._prefers_deepgram
        return position in self._failed, rank, position == leaving, is_fallback

    def target(self, model: str, position: int) -> DialTarget:
        """Take a key of an upstream, and return the target of the dial; see `SessionSpec.dial_target`."""
        self._is_relayed = position == self._position
        if self._is_relayed:
            return self._deepgram.target(model, 0)
        return self._listed.target(self._model if model == self._relay_route else model, position)

    def dialling(self, dial: Callable[[DialTarget], Connection]) -> Callable[[DialTarget], Connection]:
        """Wrap `dial`, so that both pools are notified of each dial that succeeds."""
        return self._listed.dialling(self._deepgram.dialling(dial))

    def note_loss(self, generation: int, loss: Loss) -> bool:
        """Report a loss to the pools; see `SessionSpec.note_loss`."""
        side = self._deepgram if self._deepgram.position_of(generation) is not None else self._listed
        position = side.position_of(generation)
        if position is not None and not side.has_served(generation):
            self._failed.add(self._position if side is self._deepgram else position)
        return side.note_loss(generation, loss)

    def observe(self, event: Any) -> None:
        """Take an event of the supervisor, or a notification of the session."""
        match event:
            case lifecycle.UpstreamRequested():
                self._is_standby = event.is_standby
            case reports.UpstreamTookOver():
                self._failed.clear()
        self._listed.observe(event)
        if not isinstance(event, reports.RateLimitsLeft):  # the positions in this event are those of the list
            self._deepgram.observe(event)
