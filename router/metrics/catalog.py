"""Every metric: its name, its labels, and how the values of several workers are merged.

A label has few values, from a closed list or from the configuration. A session, a principal or an address is never the
value of a label.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LABEL_SETS: Final = 64
"""The most label sets of one metric. A further set is counted under the label `other`."""

OTHER: Final = "other"

NATIVE_SCHEMA: Final = 2
"""The resolution of native histograms: 4 buckets for each doubling, so that a bucket is 19 % wide."""
NATIVE_ZERO_S: Final = 2.0**-10
"""The largest observation of the zero bucket, in seconds: 1 ms."""
NATIVE_FIRST: Final = -39
NATIVE_LAST: Final = 24
"""The indexes of the first and last native bucket. The bucket of index i ends at 2**(i / 4) seconds.

The last one ends at 64 s, and also has all longer observations.
"""
NATIVE_BUCKETS: Final = NATIVE_LAST - NATIVE_FIRST + 1

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets, in seconds, without the infinite bound."""
    merge: Literal["sum", "max"] = "sum"
    """Whether the page shows the sum or the maximum of the workers' values."""
    initial: tuple[tuple[str, ...], ...] = ()
    """The label sets that exist with 0 from the start, so that Prometheus sees the first event as a rise."""

    @property
    def size(self) -> int:
        """The count of numbers in a row of the metric: 1, or for a histogram the count of all numbers in `parts`."""
        return len(self.buckets) + 3 + NATIVE_BUCKETS if self.kind == "histogram" else 1

    @property
    def sum_place(self) -> int:
        """The place of a histogram's sum in its row."""
        return len(self.buckets) + 1

    def parts(self, numbers: Sequence[float]) -> tuple[Sequence[float], float, float, Sequence[float]]:
        """Return the parts of a histogram's row.

        They are the classic buckets with the infinite one, the sum, the native zero bucket, and the native buckets.
        """
        at = self.sum_place
        return numbers[:at], numbers[at], numbers[at + 1], numbers[at + 2 :]

    def native_place(self, seconds: float) -> int:
        """Return the place of an observation's native bucket in a histogram's row."""
        if seconds <= NATIVE_ZERO_S:
            return self.sum_place + 1
        index = min(NATIVE_LAST, math.ceil(math.log2(seconds) * 2**NATIVE_SCHEMA))
        return self.sum_place + 2 + max(0, index - NATIVE_FIRST)


LATENCY_BUCKETS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
DIAL_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)

LEGS: Final = (("client", "received"), ("client", "sent"), ("upstream", "received"), ("upstream", "sent"))

REFUSALS: Final = {
    400: "bad request",
    401: "unauthorized",
    403: "forbidden",
    404: "no such path",
    405: "method",
    413: "too large",
    426: "no upgrade",
    429: "limit",
    500: "failure",
    503: "unavailable",
}
"""The reasons of refused handshakes, by HTTP status."""

SESSIONS: Final = Metric("switchboard_sessions_total", "counter", "Sessions that ended.", ("route", "end", "code"))
SESSIONS_ACTIVE: Final = Metric("switchboard_sessions_active", "gauge", "Present sessions.", initial=((),))
TURNS: Final = Metric("switchboard_turns_total", "counter", "Turns of the agent that were completed.", initial=((),))
TURN_SECONDS: Final = Metric(
    "switchboard_turn_seconds",
    "histogram",
    "From the end of the user's turn to the first audio or text, and the time of function calls.",
    ("phase",),
    LATENCY_BUCKETS,
    initial=(("first_audio",), ("first_text",), ("function",)),
)
DIAL_SECONDS: Final = Metric(
    "switchboard_upstream_dial_seconds",
    "histogram",
    "Dials of upstreams: DNS, TCP, TLS and the WebSocket handshake together.",
    ("upstream", "result"),
    DIAL_BUCKETS,
)
RESTARTS: Final = Metric(
    "switchboard_restarts_total",
    "counter",
    "Losses of an upstream that a session needed, dialled or in use, and their result.",
    ("cause", "result"),
)
ROLLOVERS: Final = Metric(
    "switchboard_rollovers_total",
    "counter",
    "Switches to the next upstream before a session expired.",
    ("result",),
    initial=(("done",), ("failed",)),
)
FAILOVERS: Final = Metric(
    "switchboard_failovers_total", "counter", "Restarts at another upstream of the list.", initial=((),)
)
TOKENS: Final = Metric(
    "switchboard_tokens_total",
    "counter",
    "Tokens as upstreams report them. Cached ones are not counted again as uncached.",
    ("model", "modality", "direction", "cached"),
)
TRANSCRIBED: Final = Metric(
    "switchboard_transcribed_seconds_total", "counter", "Audio of models that are charged by duration.", ("model",)
)
COST: Final = Metric("switchboard_cost_usd_total", "counter", "Cost by the price table, in dollars.", ("model",))
MESSAGES: Final = Metric(
    "switchboard_messages_total", "counter", "WebSocket messages.", ("leg", "direction"), initial=LEGS
)
BYTES: Final = Metric(
    "switchboard_bytes_total", "counter", "Bytes of WebSocket frames.", ("leg", "direction"), initial=LEGS
)
DROPPED: Final = Metric(
    "switchboard_dropped_bytes_total",
    "counter",
    "Bytes that were dropped because a peer did not read.",
    ("leg",),
    initial=(("client",), ("upstream",)),
)
LAG: Final = Metric(
    "switchboard_dispatcher_lag_seconds",
    "gauge",
    "The longest time since a dispatcher last had nothing to run.",
    merge="max",
    initial=((),),
)
SLICES: Final = Metric("switchboard_dispatcher_slices_total", "counter", "Slices of actors.", initial=((),))
SLOW_SLICES: Final = Metric(
    "switchboard_dispatcher_slow_slices_total", "counter", "Slices of more than 50 ms.", initial=((),)
)
SLICE_SECONDS: Final = Metric(
    "switchboard_dispatcher_slice_seconds_total", "counter", "Time in slices of actors.", initial=((),)
)
HELD: Final = Metric(
    "switchboard_buffers_bytes",
    "gauge",
    "Unfinished messages, backlogs, early messages and held audio, where a peer holds 64 kB or more.",
    initial=((),),
)
EVICTIONS: Final = Metric(
    "switchboard_buffers_evictions_total",
    "counter",
    "Peers that were closed because all of them together held too much, and they the most.",
    initial=((),),
)
LIMITS: Final = Metric(
    "switchboard_limit_used_ratio",
    "gauge",
    "The share of a limit that is in use, in the worker that uses the most of it.",
    ("limit",),
    merge="max",
)
AUDIO_SECONDS: Final = Metric(
    "switchboard_audio_seconds_total",
    "counter",
    "Audio of microphones (received) and of agents (sent).",
    ("direction",),
    initial=(("received",), ("sent",)),
)
REFUSED: Final = Metric(
    "switchboard_refusals_total",
    "counter",
    "Handshakes that were refused.",
    ("reason",),
    initial=tuple((reason,) for reason in REFUSALS.values()),
)
RECORDINGS: Final = Metric(
    "switchboard_recordings_total",
    "counter",
    "Recordings of sessions: whole, torn, or removed for the bound of their folder.",
    ("result",),
)
STORE_AWAY: Final = Metric(
    "switchboard_limits_store_failures_total", "counter", "New sessions for which Redis did not answer.", initial=((),)
)
RESUMES: Final = Metric(
    "switchboard_resumes_total",
    "counter",
    "Lost calls that were kept for their client, and clients that came back.",
    ("result",),
)
BREAKER_STATE: Final = Metric(
    "switchboard_upstream_breaker",
    "gauge",
    "The breaker of an upstream, in the worker that thinks worst of it: 0 closed, 1 half-open, 2 open.",
    ("upstream",),
    merge="max",
)
BREAKER_OPENED: Final = Metric(
    "switchboard_upstream_breaker_opened_total",
    "counter",
    "Breakers that opened, by upstream and cause.",
    ("upstream", "cause"),
)
HEALTH_STORE_AWAY: Final = Metric(
    "switchboard_upstream_store_failures_total",
    "counter",
    "Attempts to share the state of breakers that Redis did not answer.",
    initial=((),),
)
RECOVERIES: Final = Metric(
    "switchboard_recoveries_total",
    "counter",
    "Sessions of workers that died: another worker continues them, or they were lost. A session that is unkept would be"
    " lost, because memory or descriptors ran out.",
    ("result",),
    initial=(("recovered",), ("lost",), ("unkept",)),
)
UNKEPT: Final = ("unkept",)

WORKER_DEATHS: Final = Metric(
    "switchboard_worker_deaths_total", "counter", "Workers that ended by themselves.", initial=((),)
)

METRICS: Final = (
    *(SESSIONS, SESSIONS_ACTIVE, TURNS, TURN_SECONDS, DIAL_SECONDS, RESTARTS, ROLLOVERS, FAILOVERS),
    *(TOKENS, TRANSCRIBED, COST, MESSAGES, BYTES, DROPPED, LAG, SLICES, SLOW_SLICES),
    *(REFUSED, STORE_AWAY, RESUMES, RECOVERIES, WORKER_DEATHS, BREAKER_STATE, BREAKER_OPENED, HEALTH_STORE_AWAY),
    *(SLICE_SECONDS, HELD, EVICTIONS, LIMITS, AUDIO_SECONDS, RECORDINGS),
)
BY_NAME: Final = {metric.name: metric for metric in METRICS}
