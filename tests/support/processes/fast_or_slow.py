"""Marks each test as `fast` that is not `slow`, `open` or `exhaustive`; fails one that opens a socket or a process."""

import functools
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
SLOW_FOLDERS = tuple(TESTS / name for name in ("sockets", "console", "upstreams", "live"))
"""Each test below them is slow; elsewhere a slow test is marked."""

NOT_FAST = {"slow", "open", "exhaustive"}
"""The marks of which a fast test has none."""

SLOW_EVENTS = {"socket.__new__", "subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"}
"""Audit events of the interpreter."""

_seen: set[str] = set()
_foreign: set[int] = set()
"""The threads that earlier tests left behind for a moment, by their ids: their sockets are not this test's."""


def _note(event: str, _arguments: object) -> None:
    if event in SLOW_EVENTS and threading.get_ident() not in _foreign:
        _seen.add(event)


sys.addaudithook(_note)  # for good: an audit hook cannot be removed


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests before `-m` selects some of them."""
    for item in items:
        if _is_slow_file(item.path) or item.get_closest_marker("voice"):
            item.add_marker("slow")
        # An expression of one's own after -m replaces the one of setup.cfg, so `-m fast` has to leave these out itself.
        if NOT_FAST.isdisjoint(mark.name for mark in item.iter_markers()):
            item.add_marker("fast")


@functools.cache
def _is_slow_file(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in SLOW_FOLDERS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget what earlier tests opened, before the first fixture of this one: a module's fixture counts, too."""
    _foreign.clear()
    _foreign.update(thread.ident for thread in threading.enumerate() if thread is not threading.current_thread())
    _seen.clear()


@pytest.fixture(autouse=True)
def fast_is_fast(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a fast test that opened a socket or started a process."""
    yield
    if request.node.get_closest_marker("fast"):
        assert not _seen, f"{_seen}: a test that does this is to be marked `slow`"
