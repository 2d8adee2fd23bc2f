"""A pytest plugin: marks tests without a mark of `NOT_FAST` as `fast`. A fast test with a socket or a process fails."""

import functools
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
SLOW_FOLDERS = tuple(TESTS / name for name in ("sockets", "console", "upstreams", "live"))
"""The folders in which every test is slow. Elsewhere a slow test has a mark."""

NOT_FAST = {"slow", "open", "exhaustive", "alone", "cputime"}
"""The marks that a fast test must not have. A test marked `alone` would delay all others."""

MARKED_SLOW = re.compile(
    r"^pytestmark = (?:\[[^\]]*)?pytest\.mark\.(?:slow|voice|exhaustive|live|open|alone|cputime)\b", re.MULTILINE
)
"""Matches the mark of a file without a fast test."""

SLOW_EVENTS = {"socket.__new__", "subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"}
"""The audit events of the interpreter that show a socket or a process."""

_seen: set[str] = set()
_foreign: set[int] = set()
"""The ids of threads that earlier tests left for a moment. Their sockets do not count for the present test."""


def _note(event: str, _arguments: object) -> None:
    if event in SLOW_EVENTS and threading.get_ident() not in _foreign:
        _seen.add(event)


sys.addaudithook(_note)  # for good: an audit hook cannot be removed


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """If only fast tests are selected, ignore files without one, because their imports take seconds."""
    return True if config.option.markexpr == "fast" and _is_all_slow(collection_path) else None


def _is_all_slow(path: Path) -> bool:
    if path.suffix != ".py":
        return path in SLOW_FOLDERS
    return _is_slow_file(path) or MARKED_SLOW.search(path.read_text(encoding="utf-8")) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests, before `-m` selects some of them."""
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
    """Forget the sockets of earlier tests before the first fixture of this test, because a module's fixture counts."""
    _foreign.clear()
    _foreign.update(thread.ident for thread in threading.enumerate() if thread is not threading.current_thread())
    _seen.clear()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail a fast test that opened a socket or started a process. A fixture that does so takes a tenth of a test."""
    yield
    if _seen and item.get_closest_marker("fast"):
        pytest.fail(f"{_seen}: a test that does this is to be marked `slow`", pytrace=False)
