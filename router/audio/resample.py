"""Streaming linear16 from one sample rate to another; loads numpy only where the two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.audio.polyphase import Stream

PIECE_BYTES: Final = 8192
"""What is converted at once, so that a push of any length works in little memory."""


class Resampler:
    """Converts one stream, pushed in pieces of any length; how it is cut makes no difference to the output.

    Not thread-safe. Raises UnsupportedRates (a ValueError) for a pair of rates that has no filter.
    """

    __slots__ = ("_half_sample", "_rate_in", "_stream")

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._rate_in = rate_in
        self._half_sample = b""
        self._stream = None if rate_in == rate_out else _stream(rate_in, rate_out)

    @property
    def hold_back_ms(self) -> float:
        """How much of what was pushed is still to come out, at most."""
        return 0.0 if self._stream is None else 1000 * self._stream.margin / self._rate_in

    def push(self, data: bytes) -> bytes:
        """Feed bytes; the converted audio they complete. Half a sample waits for its other half."""
        samples = self._whole_samples(data)
        stream = self._stream
        if stream is None or not samples:
            return samples
        if len(samples) <= PIECE_BYTES:
            return stream.convert(samples)
        view = memoryview(samples)
        starts = range(0, len(view), PIECE_BYTES)
        return b"".join(stream.convert(view[start : start + PIECE_BYTES]) for start in starts)

    def flush(self) -> bytes:
        """What is held back, as if silence followed; the next push begins a new stream.

        Half a sample stays: the bytes go on, only the turn has ended.
        """
        if self._stream is None:
            return b""
        rest = self._stream.convert(bytes(2 * self._stream.margin))
        self._stream.restart()
        return rest

    def _whole_samples(self, data: bytes) -> bytes:
        if self._half_sample:
            data = self._half_sample + data
        if len(data) % 2 == 0:
            self._half_sample = b""
            return data
        self._half_sample = data[-1:]
        return data[:-1]


def _stream(rate_in: int, rate_out: int) -> Stream:
    from router.audio.polyphase import Stream  # noqa: PLC0415 - numpy is 20 MB that equal rates do not need

    return Stream(rate_in, rate_out)
