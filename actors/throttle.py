"""The rates of one client: messages and bytes in a second. Pure.

A client beyond its rate is not read for a while, so TCP slows the client down, and nothing is lost. A flood delays its
sender alone.
"""

from __future__ import annotations

from typing import Final

import msgspec

BURST_S: Final = 2.0
"""The seconds of a client's rate that may arrive at once, because a stalled network delivers its messages together."""

UNTIMED: Final = 1 / 8
"""The part of a burst that passes between two looks at the clock. A look at each message would cost more than the
count."""

_UNLIMITED: Final = 2**60
"""The room of a bucket without a rate. It is an integer, so that sums with it are exact."""


class Rates(msgspec.Struct, frozen=True):
    """The highest rates of one client; 0 for no limit."""

    messages_per_s: float = 0
    bytes_per_s: float = 0

    def __bool__(self) -> bool:
        return bool(self.messages_per_s or self.bytes_per_s)


class _Bucket:
    """A token bucket, which may be overdrawn, because a message that has arrived is passed on in any case."""

    __slots__ = ("_per_s", "_room", "_tokens", "untimed")

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._room = self._tokens = per_s * BURST_S or _UNLIMITED
        self.untimed = self._room * UNTIMED
        """The tokens that may be taken before `settle` is due."""

    def settle(self, left: float, passed_s: float) -> float:
        """Subtract the tokens that were used since the last call, and add the tokens for the seconds that have passed.

        `left` is the unused rest of `untimed`. Return the seconds for which the client should not be read.
        """
        self._tokens = min(self._room, self._tokens - (self.untimed - left) + passed_s * self._per_s)
        self.untimed = max(0.0, min(self._tokens, self._room * UNTIMED))
        return -self._tokens / self._per_s if self._tokens < 0 else 0.0


class Throttle:
    """The rates of one client, and the messages and bytes that it has left."""

    __slots__ = ("_at_s", "_bytes", "_bytes_left", "_messages", "_messages_left")

    def __init__(self, rates: Rates, now_s: float) -> None:
        self._at_s = now_s
        self._messages, self._bytes = _Bucket(rates.messages_per_s), _Bucket(rates.bytes_per_s)
        self._messages_left, self._bytes_left = self._messages.untimed, self._bytes.untimed

    def count(self, size_bytes: int) -> bool:
        """Count a message. Return whether the caller has to call `wait_s` now. Most calls return False."""
        self._messages_left -= 1
        self._bytes_left -= size_bytes
        return self._messages_left < 0 or self._bytes_left < 0

    def wait_s(self, now_s: float) -> float:
        """Return the seconds for which the client should not be read; 0 if it is within its rates."""
        passed_s, self._at_s = now_s - self._at_s, now_s
        wait_s = max(
            self._messages.settle(self._messages_left, passed_s), self._bytes.settle(self._bytes_left, passed_s)
        )
        self._messages_left, self._bytes_left = self._messages.untimed, self._bytes.untimed
        return wait_s
