"""Runs a plain `pytest` on several processes, and alone what has to be: a pytest plugin.

Tests that are named on the command line run in one process, and so do all with `-p no:xdist`, `-n 0`, `--pdb` or `-s`.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROCESSES_PER_CORE = 2
"""Slow tests wait most of the time, for a process to start or for audio to be played; fast tests never wait."""
MOST_PROCESSES = 8


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
    """Order the tests that run alone behind all others."""
    items.sort(key=_is_alone)


class Turns:
    """Takes turns with the other processes: tests that run side by side share a file's lock, others have it alone."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("a")  # noqa: SIM115 - open as long as this process runs tests

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Wait for the lock, before the test's duration and its time-out begin."""
        fcntl.flock(self._file, fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def pytest_configure(config: pytest.Config) -> None:
    """Take turns, in a process that runs a part of the tests."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Turns(config.workerinput["turns"]))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Name the file to a new process. Its folder goes at the end of the run."""
    config = node.config
    if not hasattr(config, "turns_folder"):
        config.turns_folder = tempfile.TemporaryDirectory(prefix="tests-")
        config.add_cleanup(config.turns_folder.cleanup)
    node.workerinput["turns"] = str(Path(config.turns_folder.name) / "turns")


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None
