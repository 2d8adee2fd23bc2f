"""An observer for each session. It sums up the session's reports, and writes the session's last log line.

An observer runs on the supervisor's thread, and neither waits nor writes to a file itself.
"""

from __future__ import annotations

import copy
import datetime as dt
import logging
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson

from actors import lifecycle, messages
from router.admin.upstreams import UpstreamBook
from router.logs.once import Once
from router.metrics.metrics import Metrics
from router.observer.counter import Counter
from router.observer.endings import MOVED, End, judge
from router.observer.identity import Identity
from router.observer.latencies import Latencies
from router.session import reports
from router.usage.prices import shipped
from router.usage.tokens import measure
from router.usage.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.connections.base import ConnectionClosed
    from router.access.request import Request
    from router.config.model import RouterConfig
    from router.logs.usage_log import UsageLog

logger = logging.getLogger(__name__)

_DECIMALS: Final = 10
"""The number of decimals of a cost. It is this large because a single cached token of text costs 4e-7 dollars."""
_MS: Final = 1000

MAX_KNOWN: Final = 100
"""The most models that this process remembers as warned of, so that it need not ask the shared set again."""


class Observers:
    """The observers of one process, with the objects that they share: prices, models, the usage log."""

    def __init__(self, config: RouterConfig, usage_log: UsageLog | None = None, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        # The embedded simulator sends no bill. Its calls are priced like those of the models whose names it uses.
        self.prices = shipped().over(config.prices)
        self.usage_log = usage_log
        self.upstreams = tuple(upstream.label(config.model) for upstream in config.all_upstreams())
        self.upstream_book = UpstreamBook(self.upstreams)
        """The dials and rate limits of the upstreams."""
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self.unpriced = Once()
        """The models whose missing price was logged. All workers share this set."""
        self.present: dict[str, SessionObserver] = {}
        """The sessions that have started and not ended, by id."""

    def new(self, session_id: str, request: Request) -> SessionObserver:
        """Return the observer of a session."""
        identity = Identity.of(session_id, request)
        return SessionObserver(identity, self, Counter(self.metrics, identity.route, self.prices))

    def describe(self, session_id: str) -> dict[str, Any]:
        """Return the facts about a session so far; empty for an unknown session. Any thread may call this."""
        observer = self.present.get(session_id)
        return observer.describe() if observer is not None else {}

    def positions(self) -> list[int]:
        """Return the position of the upstream for each present session, if it is a listed one.

        Any thread may call this.
        """
        return [it.position for it in list(self.present.values()) if it.position is not None]

    def warn_of_price(self, model: str) -> None:
        """Warn, once on each server, that a model lacks a price for its use or for a part of its use."""
        with self._lock:
            is_new = model not in self._known and self.unpriced.is_first(model)
            if len(self._known) < MAX_KNOWN:
                self._known.add(model)
        if is_new:
            logger.warning("the model %s lacks a price: such use is counted and costs nothing ([prices])", model)


class SessionObserver:
    """The record of one session. The supervisor's thread calls it with each event, in order."""

    __slots__ = (
        "_audio_in_s",
        "_audio_out_s",
        "_closed",
        "_counter",
        "_crashed",
        "_failure",
        "_generation",
        "_host",
        "_is_listed",
        "_last_loss",
        "_latencies",
        "_model",
        "_position",
        "_shared",
        "_started_at",
        "_tags",
        "_turns",
        "identity",
        "totals",
    )

    def __init__(self, identity: Identity, shared: Observers, counter: Counter) -> None:
        self.identity = identity
        self._counter = counter
        self.totals = Totals()
        self._shared = shared
        self._started_at = time.time()
        self._latencies = Latencies()
        self._turns = 0
        self._audio_in_s = self._audio_out_s = 0.0
        self._generation = 0
        self._model = ""
        self._position = 0
        self._is_listed = False
        """Whether the upstream is in the configured list. The upstream of a relayed session is not."""
        self._host = ""
        """The host of an upstream that is not in the configured list, such as Deepgram's."""
        self._failure: reports.SessionFailed | None = None
        self._crashed = ""
        self._closed: ConnectionClosed | None = None
        self._last_loss = ""
        self._tags: tuple[str, ...] = ()
        """The tags of the client's Settings."""

    @property
    def log_fields(self) -> dict[str, Any]:
        """The present fields of a log line about the session. Any thread may read them."""
        return {**self.identity.log_fields, "generation": self._generation}

    def __call__(self, event: Any) -> None:
        """Take an event of the supervisor, or a notification of the session."""
        self._counter.take(event)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)

    @property
    def position(self) -> int | None:
        """The position of the upstream that was dialled last, or None if this upstream is not in the list."""
        return self._position if self._is_listed else None

    def describe(self) -> dict[str, Any]:
        """Return the facts so far, for an operator. Another thread may miss the newest response."""
        totals = copy.deepcopy(self.totals)
        return {
            "trace": self.identity.trace,
            "peer": self.identity.peer,
            "user_agent": self.identity.user_agent,
            "tags": self._tags,
            "model": self._model,
            "upstream": self._upstream,
            "turns": self._turns,
            "latency_p50_ms": _ms(self._latencies.median_s),
            "latency_max_ms": _ms(self._latencies.max_s),
            "usage": [_as_dict(entry) for entry in totals.entries()],
            "cost_usd": round(totals.cost_usd(self._shared.prices), _DECIMALS),
            **self._audio(),
        }

    # Events.

    def _started(self, _event: lifecycle.SessionStarted | lifecycle.SessionAdopted) -> None:
        self._shared.present[self.identity.session_id] = self

    def _upstream_requested(self, event: lifecycle.UpstreamRequested) -> None:
        self._generation = event.generation
        self._model = event.route

    def _dialled(self, event: lifecycle.Dial) -> None:
        self._position = event.position
        self._is_listed = event.target.position is not None
        self._host = urlsplit(event.target.url).netloc

    def _took_over(self, event: reports.UpstreamTookOver) -> None:
        self._position = event.position

    def _upstream_lost(self, event: messages.UpstreamLost) -> None:
        self._last_loss = event.loss.cause

    def _tag(self, event: reports.Tagged) -> None:
        self._tags = event.tags

    def _count_usage(self, event: reports.Usage) -> None:
        measured = measure(event.details)
        self.totals.add(event.model, measured)
        price = self._shared.prices.find(event.model)
        if price is None or price.lacks(measured):
            self._shared.warn_of_price(event.model)

    def _turn_ended(self, _event: reports.TurnEnded) -> None:
        self._turns += 1

    def _turn_latency(self, event: reports.TurnLatency) -> None:
        latency_s = event.first_audio_s if event.first_audio_s is not None else event.first_text_s
        if latency_s is not None:
            self._latencies.add(latency_s)

    def _limits_left(self, event: reports.RateLimitsLeft) -> None:
        self._shared.upstream_book.record_limits(event.position, event.limits)

    def _audio_carried(self, event: reports.AudioCarried) -> None:
        self._audio_in_s += event.received_s
        self._audio_out_s += event.sent_s

    def _session_failed(self, event: reports.SessionFailed) -> None:
        self._failure = self._failure or event

    def _actor_failed(self, event: lifecycle.ActorFailed) -> None:
        # A failed upstream actor is replaced like a lost upstream. The failure of another actor ends the session.
        if event.role is not lifecycle.Role.UPSTREAM:
            self._crashed = f"the {event.role.value} failed; the log has its traceback"

    def _client_ended(self, event: lifecycle.ClientEnded) -> None:
        self._closed = event.closed

    def _ended(self, event: lifecycle.SessionEnded) -> None:
        self._shared.present.pop(self.identity.session_id, None)
        end = judge(
            event,
            failure=self._failure,
            crashed=self._crashed,
            closed=self._closed,
            last_loss=self._last_loss,
        )
        self._counter.end(end)
        self._write(event, end)

    def _moved(self, event: lifecycle.SessionMoved) -> None:
        # Each process writes the turns, the usage and the costs of its own part.
        self._shared.present.pop(self.identity.session_id, None)
        self._write(event, MOVED)

    def _write(self, event: lifecycle.SessionEnded | lifecycle.SessionMoved, end: End) -> None:
        costs_usd = self.totals.costs_usd(self._shared.prices)
        self._log(event, end, math.fsum(costs_usd.values()))
        if self._shared.usage_log is not None:
            self._shared.usage_log.write(self._usage_line(event, end, costs_usd))

    # The lines at the end.

    def _log(self, event: lifecycle.SessionEnded | lifecycle.SessionMoved, end: End, cost_usd: float) -> None:
        fields = {
            **self.log_fields,
            "duration_s": round(event.duration_s, 3),
            "turns": self._turns,
            "restarts": event.restarts,
            "end": end.end,
            "code": end.code,
            "cause": end.cause,
            "input_tokens": self.totals.count("input"),
            "output_tokens": self.totals.count("output"),
            "cost_usd": round(cost_usd, _DECIMALS),
            **self._audio(),
            "latency_p50_ms": _ms(self._latencies.median_s),
            "latency_max_ms": _ms(self._latencies.max_s),
            "peer": self.identity.peer,
            "user_agent": self.identity.user_agent,
            "model": self._model,
            "upstream": self._upstream,
            "worker": os.getpid(),
            **self._tagged(),
        }
        line = "session %s ended after %.1f s: %s %s"
        logger.log(end.level, line, self.identity.session_id, event.duration_s, end.end, end.code, extra=fields)

    def _usage_line(
        self, event: lifecycle.SessionEnded | lifecycle.SessionMoved, end: End, costs_usd: Mapping[str, float]
    ) -> bytes:
        costs = {model: round(cost_usd, _DECIMALS) for model, cost_usd in costs_usd.items()}
        line = {
            "session": self.identity.session_id,
            "principal": self.identity.principal,
            "route": self.identity.route,
            **self._tagged(),
            "started_at": _iso(self._started_at),
            "ended_at": _iso(self._started_at + event.duration_s),
            "duration_s": round(event.duration_s, 3),
            "turns": self._turns,
            "restarts": event.restarts,
            "end": end.end,
            "code": end.code,
            "upstream": self._upstream,
            "usage": self.totals.entries(),
            "seconds": self.totals.seconds(),
            **self._audio(),
            "costs": costs,
            "cost_usd": round(math.fsum(costs_usd.values()), _DECIMALS),
        }
        return orjson.dumps(line, default=_as_dict)

    def _tagged(self) -> dict[str, tuple[str, ...]]:
        return {"tags": self._tags} if self._tags else {}

    def _audio(self) -> dict[str, float]:
        """Return the seconds of audio from the client and to the client."""
        return {"audio_in_s": round(self._audio_in_s, 3), "audio_out_s": round(self._audio_out_s, 3)}

    @property
    def _upstream(self) -> str:
        if self._host and not self._is_listed:
            return self._host
        upstreams = self._shared.upstreams
        return upstreams[self._position] if self._position < len(upstreams) else ""

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        lifecycle.SessionStarted: _started,
        lifecycle.SessionAdopted: _started,
        lifecycle.SessionMoved: _moved,
        lifecycle.UpstreamRequested: _upstream_requested,
        lifecycle.Dial: _dialled,
        lifecycle.ClientEnded: _client_ended,
        lifecycle.ActorFailed: _actor_failed,
        lifecycle.SessionEnded: _ended,
        messages.UpstreamLost: _upstream_lost,
        reports.UpstreamTookOver: _took_over,
        reports.Tagged: _tag,
        reports.Usage: _count_usage,
        reports.TurnEnded: _turn_ended,
        reports.TurnLatency: _turn_latency,
        reports.AudioCarried: _audio_carried,
        reports.RateLimitsLeft: _limits_left,
        reports.SessionFailed: _session_failed,
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * _MS)


def _iso(unix_s: float) -> str:
    moment = dt.datetime.fromtimestamp(unix_s, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_dict(value: Any) -> Any:
    return {name: getattr(value, name) for name in value.__struct_fields__}
