"""A forked child that calls one function, and is killed at its deadline or with the end of a block."""

import contextlib
import faulthandler
import gc
import os
import select
import signal
from collections.abc import Callable, Iterator

END_S = 30.0


def status_of_fork(run: Callable[[], object], *, timeout_s: float = END_S) -> int:
    """Run a function in a forked child, and return the child's wait status: 0 if the function returned.

    A child that does not end prints its stack to stderr and is killed.

    Raises:
        AssertionError: the child did not end in time.
    """
    gc.collect()  # the child resets each router that is there, also one that an earlier test has closed
    reader, writer = os.pipe()  # the child's end of it closes with the child
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run()
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    has_ended = bool(select.select([reader], [], [], timeout_s)[0])
    os.close(reader)
    if not has_ended:
        os.kill(pid, signal.SIGABRT if faulthandler.is_enabled() else signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert has_ended, f"the child of a fork did not end within {timeout_s} s; stderr shows where it stood"
    return status


@contextlib.contextmanager
def repeating_fork(run: Callable[[], object]) -> Iterator[None]:
    """Call a function again and again in a forked child, until the block ends.

    Raises:
        AssertionError: the child has ended by itself, because the function raised.
    """
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                run()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "the child of a fork has ended"
