"""Streams of audio from one format to another. This module loads numpy only if a conversion needs it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from router.audio import g711

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.audio.formats import Encoding, Format, Recording
    from router.audio.interpolated import InterpolatedStream
    from router.audio.polyphase import Stream

    Step = Callable[[bytes], bytes]

PIECE_SAMPLES: Final = 4096
"""The most samples in one step of a conversion, so that a push of any length takes little memory."""


class Converter:
    """The converter of one stream, which is pushed in pieces of any length. Their borders do not affect the output.

    The output has only whole samples. A converter is not thread-safe. It raises UnsupportedRates (a ValueError) for a
    rate that is not in `formats.RATES`.
    """

    __slots__ = (
        "_decode",
        "_encode",
        "_part",
        "_piece_bytes",
        "_sample_bytes",
        "_step",
        "_stream",
        "source",
        "target",
        "target_bytes_per_s",
    )

    def __init__(self, source: Format, target: Format) -> None:
        self.source: Final = source
        self.target: Final = target
        self.target_bytes_per_s: Final = target.bytes_per_s
        """The size of a second of output, in bytes."""
        self._sample_bytes: Final = source.sample_bytes
        self._piece_bytes: Final = PIECE_SAMPLES * source.sample_bytes
        self._part = b""
        """The first bytes of a sample that the border between two pieces divides."""
        is_recoded = source.encoding != target.encoding
        self._stream = None if source.rate == target.rate else _stream(source.rate, target.rate)
        # The filter works on linear16, so other encodings are decoded before it, and encoded after it.
        self._decode = _decoder(source.encoding) if is_recoded or self._stream else None
        self._encode = _encoder(target.encoding) if is_recoded or self._stream else None
        is_resampled_alone = self._stream is not None and self._decode is None and self._encode is None
        self._step: Step | None = self._stream.convert if self._stream is not None and is_resampled_alone else None
        """The only step of a conversion that has no other step; else None."""

    @property
    def hold_back_ms(self) -> float:
        """The most milliseconds by which the output lags behind the input."""
        return 0.0 if self._stream is None else 1000 * self._stream.margin / self.source.rate

    @property
    def is_costly(self) -> bool:
        """Whether the conversion of a second of audio takes 1 to 5 ms, and not 0.5 ms.

        Floats, and rates without a small ratio, are costly.
        """
        return self._stream is not None and (self._stream.is_costly or self.source.encoding == "linear32")

    @property
    def part(self) -> bytes:
        """The first bytes of a sample whose rest is still to come."""
        return self._part

    @property
    def memory(self) -> list[Any]:
        """The whole memory of the converter: the incomplete sample, and the memory of the filter if there is one."""
        return [self._part] if self._stream is None else [self._part, *self._stream.memory]

    @memory.setter
    def memory(self, memory: list[Any]) -> None:
        self._part, *of_stream = memory
        if self._stream is not None:
            self._stream.memory = of_stream

    def push(self, data: bytes) -> bytes:
        """Take bytes and return the converted audio that they complete.

        An incomplete sample waits for its other bytes.
        """
        samples = self._whole_samples(data) if self._part or len(data) % self._sample_bytes else data
        piece_bytes = self._piece_bytes
        if len(samples) <= piece_bytes:
            return self._convert(samples) if self._step is None else self._step(samples)
        starts = range(0, len(samples), piece_bytes)
        return b"".join(self._convert(samples[start : start + piece_bytes]) for start in starts)

    def flush(self) -> bytes:
        """Return the audio that the filter holds back, as if silence followed. The next push begins a new stream.

        Keep an incomplete sample: if only a turn has ended, the rest of the sample is still to come.
        """
        if self._stream is None:
            return b""
        # The last samples wait for `margin` further samples, which are silence here.
        rest = self._stream.convert(bytes(2 * self._stream.margin))
        self._stream.restart()
        return self._encode(rest) if self._encode is not None else rest

    def successor(self, target: Format) -> Converter:
        """Return a converter from the same format to another one.

        It begins with the incomplete sample of this converter.

        The caller flushes this converter first.
        """
        other = Converter(self.source, target)
        other._part = self._part
        return other

    def restart(self) -> None:
        """Drop the audio that the filter holds back and an incomplete sample. Begin a new stream."""
        self._part = b""
        if self._stream is not None:
            self._stream.restart()

    def _convert(self, samples: bytes) -> bytes:
        if not samples:
            return b""
        if self._decode is not None:
            samples = self._decode(samples)
        if self._stream is not None:
            samples = self._stream.convert(samples)
        return self._encode(samples) if self._encode is not None else samples

    def _whole_samples(self, data: bytes) -> bytes:
        if self._part:
            data = self._part + data
        excess = len(data) % self._sample_bytes
        if not excess:
            self._part = b""
            return data
        self._part = data[-excess:]
        return data[:-excess]


def needs_preparation(source: Format, target: Format) -> bool:
    """Whether the first converter between these formats takes long: 0.1 s to load numpy, 6 ms to design a filter."""
    is_recoded = source.encoding != target.encoding and (source.encoding == "linear32" or target.encoding != "linear16")
    return source.rate != target.rate or is_recoded


def load() -> None:
    """Load numpy. It blocks, so a dispatcher's thread must not call it."""
    import router.audio.interpolated  # noqa: PLC0415
    import router.audio.samples  # noqa: F401, PLC0415


def prepare(source: Format, target: Format) -> None:
    """Load numpy and design the filter, so that later converters are fast.

    It blocks, so a dispatcher's thread must not call it.
    """
    Converter(source, target)


def converted(recording: Recording, target: Format) -> bytes:
    """Return a whole recording in another format."""
    converter = Converter(recording.format, target)
    return converter.push(recording.data) + converter.flush()


# numpy costs 10 MB and 0.1 s to load (docs/performance.md). A worker whose sessions do not need it does not load it.


def _stream(rate_in: int, rate_out: int) -> Stream | InterpolatedStream:
    from router.audio.polyphase import Stream, is_small  # noqa: PLC0415

    if is_small(rate_in, rate_out):
        return Stream(rate_in, rate_out)
    from router.audio.interpolated import InterpolatedStream  # noqa: PLC0415

    return InterpolatedStream(rate_in, rate_out)


def _decoder(encoding: Encoding) -> Step | None:
    """Return the function that converts samples to linear16, or None if they are linear16."""
    if encoding == "linear16":
        return None
    if encoding != "linear32":
        return partial(g711.decoded, encoding)
    from router.audio.samples import linear32_decoded  # noqa: PLC0415

    return linear32_decoded


def _encoder(encoding: Encoding) -> Step | None:
    """Return the function that converts linear16 to samples, or None if they are linear16."""
    if encoding == "linear16":
        return None
    if encoding == "linear32":
        raise ValueError("linear32 is never sent")
    from router.audio.samples import g711_encoded  # noqa: PLC0415

    return partial(g711_encoded, encoding)
