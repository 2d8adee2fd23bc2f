"""The loop of the fuzzer: inputs, their rate, the slowest one, and a reproduction of each failure."""

import random
import time
import traceback

MAX_SLICE_S = 0.05
"""The longest time in seconds that one input may take."""

RETRIES = 5
"""The number of further tries of a slow input, because a garbage collection may have made it slow."""


class FoundError(Exception):
    """An input failed. The error has the values that repeat it."""

    def __init__(self, target, seed, number, given, cause):
        super().__init__(target.name, seed, number)
        self.target, self.seed, self.number, self.given, self.cause = target, seed, number, given, cause

    @property
    def kind(self):
        """A short description. Failures with the same description are of one kind."""
        place = traceback.extract_tb(self.cause.__traceback__)[-1]
        return f"{type(self.cause).__name__} at {place.filename.rpartition('/')[2]}:{place.lineno}"

    def __str__(self):
        repeat = f"python -m tests.fuzz --target '{self.target.name}' --seed {self.seed} --at {self.number}"
        shown = "\n".join(f"    {step!r:.300}" for step in self.given) if isinstance(self.given, list) else ""
        shown = shown or f"    {self.given!r:.2000}"
        trace = "".join(traceback.format_exception(self.cause)[-3:])
        return f"{self.kind}\n  repeat: {repeat}\n  input:\n{shown}\n{trace}"


class Figures:
    """The figures of one target."""

    def __init__(self, target):
        self.target = target
        self.inputs = 0
        self.seconds = 0.0
        self.longest_s = 0.0
        self.slowest = 0
        """The number of the slowest input."""
        self.failures = {}

    def __str__(self):
        rate = self.inputs / self.seconds if self.seconds else 0
        return (
            f"{self.target.name:<16}{self.inputs:>10} inputs{rate:>9.0f}/s"
            f"   longest {1000 * self.longest_s:6.1f} ms (input {self.slowest})   {len(self.failures)} kinds of failure"
        )


def drawn(target, seed, number):
    """Return the input of a number. It depends only on the target, the seed and the number."""
    return target.draw(random.Random(f"{seed}/{target.name}/{number}"))  # noqa: S311 - reproducible, no secret


def fuzz(target, seed, *, seconds, inputs, begin=0, stop_at_failure=False):
    """Try inputs until the time or their number is over. Return the figures."""
    figures = Figures(target)
    size = getattr(target, "size", lambda _given: 1)
    began_s = time.monotonic()
    number = begin
    while figures.inputs < inputs and time.monotonic() - began_s < seconds:
        given = drawn(target, seed, number)
        try:
            slice_s = check(target, given)
        except Exception as cause:  # noqa: BLE001 - this is what it looks for
            failure = FoundError(target, seed, number, given, cause)
            figures.failures.setdefault(failure.kind, failure)
            if stop_at_failure:
                break
            slice_s = 0.0
        if slice_s > figures.longest_s:
            figures.longest_s, figures.slowest = slice_s, number
        figures.inputs += size(given)
        number += 1
    figures.seconds = time.monotonic() - began_s
    return figures


def check(target, given):
    """Check an input. Return the time of its longest slice. Raise if it takes too long in every try."""
    slice_s = _slice_s(target, given)
    if slice_s > MAX_SLICE_S:
        slice_s = min(_slice_s(target, given) for _ in range(RETRIES))
        assert slice_s <= MAX_SLICE_S, f"a slice of {1000 * slice_s:.0f} ms"
    return slice_s


def _slice_s(target, given):
    began_s = time.thread_time()
    target.longest_s = 0.0
    target.check(given)
    # A conversation measures its own slices: it is many of them.
    return target.longest_s or time.thread_time() - began_s


def shrunk(failure):
    """Return a failure of the same kind with fewer steps, if its input is a list of steps."""
    steps = failure.given
    if not isinstance(steps, list):
        return failure
    size = len(steps) // 2
    while size:
        at = 1
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            found = _fails(failure, fewer)
            if found is None:
                at += size
            else:
                steps, failure = fewer, found
        size //= 2
    return failure


def _fails(failure, steps):
    try:
        check(failure.target, steps)
    except Exception as cause:  # noqa: BLE001 - as above
        found = FoundError(failure.target, failure.seed, failure.number, steps, cause)
        return found if found.kind == failure.kind else None
    return None
