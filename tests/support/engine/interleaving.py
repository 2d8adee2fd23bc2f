"""Two threads, switched at a chosen instruction, for every place at which one can interrupt the other once.

`every_interruption` runs one call again and again. In the n-th run another thread runs a whole second call, just before
the n-th instruction of the given functions. If the second call waits for a lock of the first call, the first call
continues. `switching` makes the interpreter switch threads as often as it can.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

WAIT_S = 5.0
LOCKED_S = 0.02
"""The seconds after which the second call counts as waiting for a lock."""

LATE_S = 0.02

SWITCH_S = 1e-6


class Scenario(NamedTuple):
    """Two calls, and a check of their result."""

    first: Callable[[], Any]
    other: Callable[[], Any]
    judge: Callable[[], Any]


class _Interruption:
    """Runs the second call at one instruction of the first call."""

    def __init__(self, other: Callable[[], Any], codes: set[CodeType], at: int) -> None:
        self._thread = threading.Thread(target=self._run, name="interruption")
        self._other = other
        self._codes = codes
        self._left = at
        self.failure: BaseException | None = None
        self.is_reached = False

    def trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        """Count the instructions. It is a trace function of the interpreter."""
        if frame.f_code not in self._codes:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            self._left -= 1
            if not self._left:
                self.is_reached = True
                self._thread.start()
                self._thread.join(LOCKED_S)
        return self.trace

    def finish(self) -> None:
        """Run the second call if the instruction was not reached, and wait for its end."""
        if not self.is_reached:
            self._thread.start()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the other call does not return"
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            self._other()
        except BaseException as failure:  # noqa: BLE001 - raised by `finish`
            self.failure = failure


def every_interruption(scenario: Callable[[], Scenario], *functions: Callable[..., Any]) -> int:
    """Interrupt the first call once at each instruction of the functions. Return the number of instructions."""
    codes = {getattr(function, "__func__", function).__code__ for function in functions}
    at = 0
    while True:
        at += 1
        first, other, judge = scenario()
        interruption = _Interruption(other, codes, at)
        before = sys.gettrace()
        sys.settrace(interruption.trace)
        try:
            first()
        finally:
            sys.settrace(before)
        interruption.finish()
        judge()
        if not interruption.is_reached:
            return at - 1


def once_at_least(it: Scenario) -> Scenario:
    """Run the second call at the end if it has not run, because the first call may wait for it."""
    is_free = threading.Lock()

    def other() -> None:
        if is_free.acquire(blocking=False):
            it.other()

    def first() -> None:
        late = threading.Timer(LATE_S, other)
        late.start()
        try:
            it.first()
        finally:
            late.cancel()
            late.join()

    return Scenario(first, other, it.judge)


@contextlib.contextmanager
def switching() -> Iterator[None]:
    """Switch threads after as few instructions as the interpreter can."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


def together(*calls: Callable[[], Any]) -> None:
    """Run each call on a thread of its own, all from the same moment. Raise the first failure."""
    barrier = threading.Barrier(len(calls))
    failures: list[BaseException] = []

    def run(call: Callable[[], Any]) -> None:
        barrier.wait(WAIT_S)
        try:
            call()
        except BaseException as failure:  # noqa: BLE001 - raised below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(call,), name=f"stress-{at}") for at, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(12 * WAIT_S)
        assert not thread.is_alive(), "a call does not return"
    if failures:
        raise failures[0]
