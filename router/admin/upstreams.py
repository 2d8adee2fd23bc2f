"""The upstreams for an operator: dials, health and rate limits, of one process or summed up over all workers."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.connector import DIALS_JUDGED, JUDGED_WITHIN_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CLOSED: Final = "closed"
SEVERITY: Final = {CLOSED: 0, "half-open": 1, "open": 2}
"""The states of a breaker, from the best to the worst."""

OK: Final = "ok"
"""The result of a dial that succeeded."""


class Dialled(msgspec.Struct, frozen=True):
    """The end of one dial."""

    at_s: float
    """The time of the end in seconds, on the clock that all processes of a machine share (`time.monotonic`)."""
    result: str
    """`ok`, or the step of the dial that failed, such as `dns` or `tls`."""
    error: str = ""


class UpstreamRecord:
    """The dials and rate limits of one upstream that one process has seen."""

    def __init__(self) -> None:
        self.dials: Counter[str] = Counter()
        self.recent: deque[Dialled] = deque(maxlen=DIALS_JUDGED)
        self.limits: tuple[Any, ...] = ()
        self.limits_at_s = 0.0


class UpstreamBook:
    """The records of all upstreams of one process. Methods may be called from any thread."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        """The printable names of the upstreams, in the order of the configuration."""
        self._lock = threading.Lock()
        self._records = [UpstreamRecord() for _ in labels]

    def record_dial(self, position: int, result: str, error: str = "") -> None:
        """Record the end of a dial."""
        with self._lock:
            record = self._records[position]
            record.dials[result] += 1
            record.recent.append(Dialled(time.monotonic(), result, error))

    def record_limits(self, position: int, limits: tuple[Any, ...]) -> None:
        """Record the rate limits that an upstream reports: structs with `name`, `limit`, `left` and `reset_s`."""
        with self._lock:
            if position < len(self._records):
                self._records[position].limits = limits
                self._records[position].limits_at_s = time.monotonic()

    def rows(self, sessions: Mapping[int, int]) -> list[dict[str, Any]]:
        """Return the row of each upstream. `sessions` counts the sessions by position."""
        with self._lock:
            return [
                {
                    "position": position,
                    "upstream": self.labels[position],
                    "sessions": sessions.get(position, 0),
                    "dials": dict(record.dials),
                    "recent": [msgspec.to_builtins(it) for it in record.recent],
                    "limits": [msgspec.to_builtins(it) for it in record.limits],
                    "limits_at_s": record.limits_at_s,
                }
                for position, record in enumerate(self._records)
            ]


def added_up(rows: Iterable[Mapping[str, Any]], paused: Iterable[int], now_s: float) -> list[dict[str, Any]]:
    """Return one row for each upstream, added up from the rows of all workers."""
    by_position: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_position.setdefault(row["position"], []).append(row)
    is_paused = set(paused)
    return [_one(rows, position in is_paused, now_s) for position, rows in sorted(by_position.items())]


def _one(rows: Sequence[Mapping[str, Any]], is_paused: bool, now_s: float) -> dict[str, Any]:
    dials: Counter[str] = Counter()
    for row in rows:
        dials.update(row["dials"])
    recent = sorted((msgspec.convert(it, Dialled) for row in rows for it in row["recent"]), key=lambda it: it.at_s)
    cool_down_s = _cool_down_s(recent, now_s)
    newest = max(rows, key=lambda row: row["limits_at_s"])
    last = recent[-1] if recent else None
    keys = _keys(rows)
    # Take the best key, because a call can dial the upstream with it.
    best = min(keys, key=lambda key: SEVERITY[key["breaker"]]) if keys else None
    is_failing = cool_down_s > 0 or (best is not None and best["breaker"] != CLOSED)
    return {
        "position": rows[0]["position"],
        "upstream": rows[0]["upstream"],
        "state": "paused" if is_paused else "failing" if is_failing else "well" if recent else "not dialled",
        "sessions": sum(row["sessions"] for row in rows),
        "dials": {"ok": dials[OK], "failed": dials.total() - dials[OK]},
        "failures": {result: count for result, count in sorted(dials.items()) if result != OK},
        "last_dial": None
        if last is None
        else {"age_s": round(now_s - last.at_s, 3), "result": last.result, "error": last.error},
        "cool_down_s": round(cool_down_s if best is None else best["cool_down_s"], 3),
        "weight": rows[0].get("weight", 0.0),
        "breaker": CLOSED if best is None else best["breaker"],
        "keys": keys,
        "rate_limits": [{**limit, "age_s": round(now_s - newest["limits_at_s"], 3)} for limit in newest["limits"]],
    }


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the keys of an upstream.

    Each has the sessions of all workers, and the breaker of the worker with the worst state.
    """
    by_key: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        for key in row.get("keys", ()):
            by_key.setdefault(key["key"], []).append(key)
    return [
        {
            **max(found, key=lambda key: (SEVERITY[key["breaker"]], key["cool_down_s"])),
            "sessions": sum(key["sessions"] for key in found),
        }
        for _, found in sorted(by_key.items())
    ]


def _cool_down_s(recent: Sequence[Dialled], now_s: float) -> float:
    """Return the seconds for which an upstream still counts as failing; 0 if it does not count as failing.

    A successful dial ends that time at once.
    """
    latest = [it for it in recent if it.at_s > now_s - JUDGED_WITHIN_S][-DIALS_JUDGED:]
    if not latest or any(it.result == OK for it in latest):
        return 0.0
    return latest[-1].at_s + JUDGED_WITHIN_S - now_s
