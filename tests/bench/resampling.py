"""What resampling costs: `python -m tests.bench.resampling` prints one row per pair of rates."""

import time
import tracemalloc

from router.audio.formats import INPUT_RATES, UPSTREAM_RATE, silence
from router.audio.resample import Resampler

FRAME_MS = 20
REPEATS = 100
ROUNDS = 60


def main():
    """Print the table."""
    print("| from Hz | to Hz | µs per 20 ms frame | held back ms | bytes per session |\n|---|---|---|---|---|")
    for rate in INPUT_RATES:
        print(row(rate, UPSTREAM_RATE))


def row(rate_in, rate_out):
    """One conversion."""
    frame = silence(FRAME_MS, rate_in)
    resampler = Resampler(rate_in, rate_out)
    microseconds = min(measured_us(resampler, frame) for _ in range(ROUNDS))
    size = session_bytes(lambda: Resampler(rate_in, rate_out), frame)
    return f"| {rate_in} | {rate_out} | {microseconds:.1f} | {resampler.hold_back_ms:.2f} | {size:.0f} |"


def measured_us(resampler, frame):
    """The mean of many frames; the least of several such means is the one that nothing disturbed."""
    started_ns = time.perf_counter_ns()
    for _ in range(REPEATS):
        resampler.push(frame)
    return (time.perf_counter_ns() - started_ns) / 1000 / REPEATS


def session_bytes(make, frame, count=100):
    """What one more session keeps."""
    tracemalloc.start()
    try:
        resamplers = [make() for _ in range(count)]
        for resampler in resamplers:
            resampler.push(frame)
        return tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main()
