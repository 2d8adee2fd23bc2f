"""The cost of resampling: `python -m tests.bench.resampling` prints a row for each pair of rates."""

import time
import tracemalloc

from router.audio.convert import Converter
from router.audio.formats import LINEAR16_24K, MULAW_8K, Format

FRAME_MS = 20
REPEATS = 100
ROUNDS = 60


def main():
    """Print the table."""
    sources = [Format("linear16", rate) for rate in (8_000, 11_025, 12_345, 16_000, 24_000, 44_100, 48_000)]
    targets = [Format("linear16", rate) for rate in (8_000, 16_000, 44_100, 48_000)]
    print("| from | to | µs per 20 ms frame | held back ms | bytes per session |\n|---|---|---|---|---|")
    for source in (*sources, Format("linear32", 48_000), MULAW_8K):
        print(row(source, LINEAR16_24K))
    for target in (*targets, MULAW_8K):
        print(row(LINEAR16_24K, target))


def row(source, target):
    """Return the row of one conversion."""
    frame = source.silence(FRAME_MS)
    converter = Converter(source, target)
    microseconds = min(measured_us(converter, frame) for _ in range(ROUNDS))
    size = session_bytes(lambda: Converter(source, target), frame)
    names = " | ".join(f"{it.encoding} {it.rate / 1000:g} kHz" for it in (source, target))
    return f"| {names} | {microseconds:.1f} | {converter.hold_back_ms:.2f} | {size:.0f} |"


def measured_us(converter, frame):
    """Return the lowest of several means over many frames, because other programs disturb it least."""
    started_ns = time.perf_counter_ns()
    for _ in range(REPEATS):
        converter.push(frame)
    return (time.perf_counter_ns() - started_ns) / 1000 / REPEATS


def session_bytes(make, frame, count=100):
    """Return the bytes that one more session keeps."""
    tracemalloc.start()
    try:
        converters = [make() for _ in range(count)]
        for converter in converters:
            converter.push(frame)
        return tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main()
