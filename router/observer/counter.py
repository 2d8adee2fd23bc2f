"""The metrics that the events of one session count.

Each event is counted at once, because a worker may die in the next moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from actors import lifecycle, messages
from actors.restart import Decision
from router.metrics import catalog
from router.session import reports
from router.session.state.queues import EMPTY
from router.usage.tokens import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.metrics.metrics import Metrics
    from router.observer.endings import End
    from router.usage.prices import PriceTable

APPLICATION_CODES: Final = range(3000, 5000)
"""The close codes that RFC 6455 (7.4.2) leaves to applications."""
APPLICATION: Final = "application"
"""The label of all `APPLICATION_CODES`, because a client may choose any of them."""

_BOOLEANS: Final = {False: "false", True: "true"}


class Counter:
    """The counts of one session. Its methods run on the supervisor's thread."""

    __slots__ = ("_metrics", "_position", "_prices", "_restarting", "_route", "_standbys")

    def __init__(self, metrics: Metrics, route: str, prices: PriceTable) -> None:
        self._metrics = metrics
        self._route = route
        self._prices = prices
        self._standbys: frozenset[int] = EMPTY
        self._restarting = ""
        """The cause of the loss that led to the restart in progress; empty if no restart is in progress."""
        self._position: int | None = None

    def take(self, event: Any) -> None:
        """Count an event of the supervisor, or a notification of the session."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)

    def end(self, end: End) -> None:
        """Count the end of the session."""
        self._settle_restart("abandoned")
        self._metrics.add(catalog.SESSIONS_ACTIVE, (), -1)
        # A client chooses its close code. As labels, these codes would leave no room for other ends.
        code = APPLICATION if end.code.isdecimal() and int(end.code) in APPLICATION_CODES else end.code
        self._metrics.add(catalog.SESSIONS, (self._route, end.end, code))

    def _started(self, _event: lifecycle.SessionStarted | lifecycle.SessionAdopted) -> None:
        self._metrics.add(catalog.SESSIONS_ACTIVE)

    def _moved(self, _event: lifecycle.SessionMoved) -> None:
        # The process that continues the session counts its end.
        self._settle_restart("abandoned")
        self._metrics.add(catalog.SESSIONS_ACTIVE, (), -1)

    # Upstreams.

    def _upstream_requested(self, event: lifecycle.UpstreamRequested) -> None:
        if event.is_standby:
            self._standbys |= {event.generation}

    def _upstream_lost(self, event: messages.UpstreamLost) -> None:
        if event.generation in self._standbys:
            self._standbys = self._standbys - {event.generation} or EMPTY
            self._metrics.add(catalog.ROLLOVERS, ("failed",))
            return
        self._settle_restart("failed")
        self._restarting = event.loss.kind.name.lower()
        if event.verdict.decision is Decision.TEAR_DOWN:
            self._settle_restart("not tried")

    def _took_over(self, event: reports.UpstreamTookOver) -> None:
        self._standbys = EMPTY
        if event.is_rollover:
            self._metrics.add(catalog.ROLLOVERS, ("done",))
        elif self._position is not None and event.position != self._position:
            self._metrics.add(catalog.FAILOVERS)
        self._position = event.position
        self._settle_restart("restored")

    def _settle_restart(self, result: str) -> None:
        if self._restarting:
            self._metrics.add(catalog.RESTARTS, (self._restarting, result))
            self._restarting = ""

    # Turns and usage.

    def _turn_ended(self, _event: reports.TurnEnded) -> None:
        self._metrics.add(catalog.TURNS)

    def _turn_latency(self, event: reports.TurnLatency) -> None:
        if event.first_audio_s is not None:
            self._metrics.observe(catalog.TURN_SECONDS, ("first_audio",), event.first_audio_s)
        if event.first_text_s is not None:
            self._metrics.observe(catalog.TURN_SECONDS, ("first_text",), event.first_text_s)

    def _function_answered(self, event: reports.FunctionAnswered) -> None:
        self._metrics.observe(catalog.TURN_SECONDS, ("function",), event.duration_s)

    def _audio_carried(self, event: reports.AudioCarried) -> None:
        self._metrics.add(catalog.AUDIO_SECONDS, ("received",), event.received_s)
        self._metrics.add(catalog.AUDIO_SECONDS, ("sent",), event.sent_s)

    def _usage(self, event: reports.Usage) -> None:
        measured = measure(event.details)
        for kind, count in measured.tokens.items():
            labels = (event.model, kind.modality, kind.direction, _BOOLEANS[kind.cached])
            self._metrics.add(catalog.TOKENS, labels, count)
        if measured.seconds:
            self._metrics.add(catalog.TRANSCRIBED, (event.model,), measured.seconds)
        price = self._prices.find(event.model)
        self._metrics.add(catalog.COST, (event.model,), price.cost_usd(measured) if price is not None else 0.0)

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        lifecycle.SessionStarted: _started,
        lifecycle.SessionAdopted: _started,
        lifecycle.SessionMoved: _moved,
        lifecycle.UpstreamRequested: _upstream_requested,
        messages.UpstreamLost: _upstream_lost,
        reports.UpstreamTookOver: _took_over,
        reports.TurnEnded: _turn_ended,
        reports.TurnLatency: _turn_latency,
        reports.FunctionAnswered: _function_answered,
        reports.AudioCarried: _audio_carried,
        reports.Usage: _usage,
    }
