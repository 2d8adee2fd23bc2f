"""A pytest plugin: runs a plain `pytest` on several processes, and some tests alone.

Tests that the command line names run in one process. With `-p no:xdist`, `-n 0`, `--pdb` or `-s` all tests do.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from _pytest.runner import runtestprotocol

PROCESSES_PER_CORE = 3
"""Slow tests wait most of the time, for a process to start or for audio to be played; fast tests never wait."""
MOST_PROCESSES = 8

LONG, SLOW, FAST, QUIET, ALONE = "lsfqa"
"""The kinds of tests, in the order of a run by several processes."""
KINDS = "kinds"
"""The name of a file with the kind of each test, a letter each."""

LONG_S = 0.05
"""The shortest set-up or clean-up of a passed test that is reported."""
MOST_TOGETHER = 20
"""The most fast tests that are reported together."""


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Iterator[None]:
    """Ask for several processes, before pytest-xdist reads the option."""
    if _is_plain(config):
        cores = len(os.sched_getaffinity(0))
        processes = cores if config.option.markexpr == "fast" else PROCESSES_PER_CORE * cores
        config.option.numprocesses = max(2, min(MOST_PROCESSES, processes))
    return (yield)


def _is_plain(config: pytest.Config) -> bool:
    option = config.option
    return (
        config.pluginmanager.hasplugin("xdist")
        and not hasattr(config, "workerinput")
        and option.numprocesses is None
        and config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and not (option.usepdb or option.trace or option.collectonly or option.capture == "no")
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the quiet tests after all others, and the tests that run alone at the end."""
    items.sort(key=lambda item: (_has(item, "alone"), _has(item, "quiet")))


class Turns:
    """Takes turns with the other processes, by the locks of two files.

    Quiet tests share the first lock, and ordinary tests share the second. The two kinds never run at the same time. A
    test that runs alone holds both locks exclusively.
    """

    def __init__(self, folder: str) -> None:
        # Both are open as long as this process runs tests.
        self._quiet = Path(folder, "quiet").open("a")  # noqa: SIM115
        self._others = Path(folder, "others").open("a")  # noqa: SIM115
        self._kinds = Path(folder, KINDS)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the kinds of the tests, for the process that hands them out. Each process notes the same."""
        mine = self._kinds.with_suffix(f".{os.getpid()}")
        mine.write_text("".join(map(kind_of, session.items)), encoding="ascii")
        mine.replace(self._kinds)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Wait for the locks, before the test's duration and its time-out begin."""
        if _has(item, "alone"):
            fcntl.flock(self._others, fcntl.LOCK_EX)
            fcntl.flock(self._quiet, fcntl.LOCK_EX)
        elif _has(item, "quiet"):
            _share(self._quiet, without=self._others)
        else:
            _share(self._others, without=self._quiet)
        try:
            return (yield)
        finally:
            fcntl.flock(self._quiet, fcntl.LOCK_UN)
            fcntl.flock(self._others, fcntl.LOCK_UN)


class Summaries:
    """Sends one report of a passed test in place of five messages, and the reports of fast tests in groups.

    The messages took a sixth of a fast run. If a process dies, which is a failure, the reports that it kept are lost.
    """

    def __init__(self) -> None:
        self._earlier: list[tuple[Any, ...]] = []

    @pytest.hookimpl
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run the test and report it, or keep the report of a fast test for that of the next one."""
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if all(report.passed for report in reports):
            # `--durations` lists each part of a test that takes long.
            reports = [report for report in reports if report.when == "call" or report.duration >= LONG_S]
            if len(reports) == 1 and self._waits(reports[0], item, nextitem):
                return True
        for report in reports:
            report.keywords = {}  # half of the message, and no report uses them
            report.earlier, self._earlier = self._earlier, []
            item.ihook.pytest_runtest_logreport(report=report)
        return True

    def _waits(self, report: pytest.TestReport, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Keep the report of a fast test, if another fast test follows. Return whether it was kept."""
        if not (item.get_closest_marker("fast") and nextitem and nextitem.get_closest_marker("fast")):
            return False
        if report.sections or report.user_properties or hasattr(report, "wasxfail"):
            return False
        if len(self._earlier) >= MOST_TOGETHER - 1:
            return False
        self._earlier.append((report.nodeid, report.location, report.duration, report.start, report.stop))
        return True


class Groups:
    """Reports the tests one by one whose reports a process has sent together."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Report the earlier tests, before the one whose report holds theirs."""
        for nodeid, location, duration, start, stop in report.__dict__.pop("earlier", ()):
            earlier = pytest.TestReport(
                nodeid, location, {}, "passed", None, "call", duration=duration, start=start, stop=stop
            )
            earlier.node = report.node
            self._config.hook.pytest_runtest_logreport(report=earlier)


def _share(file: IO[str], *, without: IO[str]) -> None:
    """Share the lock of `file` at a moment when no process holds the lock of `without`.

    The check of `without` comes after the first lock. So if two processes check at once, one of them sees the other.
    """
    while True:
        fcntl.flock(file, fcntl.LOCK_SH)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(without, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(without, fcntl.LOCK_UN)
            return
        fcntl.flock(file, fcntl.LOCK_UN)
        fcntl.flock(without, fcntl.LOCK_EX)
        fcntl.flock(without, fcntl.LOCK_UN)


def pytest_configure(config: pytest.Config) -> None:
    """Take turns with the other processes, if this process runs a part of the tests."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Turns(config.workerinput["turns"]))
        if not config.option.xmlpath:  # such a file is written from the reports of a test's every part
            config.pluginmanager.register(Summaries())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a new process the folder of the locks, which the end of the run removes."""
    config = node.config
    if not hasattr(config, "turns_folder"):
        config.turns_folder = tempfile.TemporaryDirectory(prefix="tests-")
        config.add_cleanup(config.turns_folder.cleanup)
        config.pluginmanager.register(Groups(config))
    node.workerinput["turns"] = config.turns_folder.name


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any) -> Any:
    """Hand the tests out kind by kind, if no other distribution is asked for."""
    if config.option.dist != "load":
        return None
    from tests.support.processes.schedule import Scheduling  # noqa: PLC0415 - only where pytest-xdist runs

    return Scheduling(config, Path(config.turns_folder.name, KINDS))


def kind_of(item: pytest.Item) -> str:
    """Return the kind of a test, by its marks."""
    marks = {mark.name for mark in item.iter_markers()}
    by_mark = {"alone": ALONE, "quiet": QUIET, "long": LONG, "slow": SLOW}
    return next((kind for mark, kind in by_mark.items() if mark in marks), FAST)


def _has(item: pytest.Item, mark: str) -> bool:
    return item.get_closest_marker(mark) is not None
