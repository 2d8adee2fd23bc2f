"""The rates of one client: messages and bytes in a second. Pure.

A client beyond its rate is not read for a while, so TCP slows the client down, and nothing is lost. A flood delays its
sender alone.
"""

from __future__ import annotations

from typing import Final

import msgspec

BURST_S: Final = 2.0
"""The seconds of a client's rate that may arrive at once, because a stalled network delivers its messages together."""


class Rates(msgspec.Struct, frozen=True):
    """The highest rates of one client; 0 for no limit."""

    messages_per_s: float = 0
    bytes_per_s: float = 0

    def __bool__(self) -> bool:
        return bool(self.messages_per_s or self.bytes_per_s)


class Throttle:
    """Two token buckets, which may be overdrawn, because a message that has arrived is passed on in any case."""

    __slots__ = ("_at_s", "_bytes", "_messages", "_rates")

    def __init__(self, rates: Rates, now_s: float) -> None:
        self._rates = rates
        self._at_s = now_s
        self._messages = rates.messages_per_s * BURST_S
        self._bytes = rates.bytes_per_s * BURST_S

    def take(self, size_bytes: int, now_s: float) -> float:
        """Count a message.

        Return the seconds for which the client should not be read; 0 where it is within its rates.
        """
        rates, passed_s = self._rates, now_s - self._at_s
        self._at_s = now_s
        self._messages = min(rates.messages_per_s * BURST_S, self._messages + passed_s * rates.messages_per_s) - 1
        self._bytes = min(rates.bytes_per_s * BURST_S, self._bytes + passed_s * rates.bytes_per_s) - size_bytes
        return max(_wait_s(self._messages, rates.messages_per_s), _wait_s(self._bytes, rates.bytes_per_s))


def _wait_s(left: float, per_s: float) -> float:
    return -left / per_s if per_s and left < 0 else 0.0
