"""The marks of fast and slow tests, and the guard over fast ones, as a pytest of its own runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]

CONFIGURATION = """
[pytest]
markers =
    slow: opens a socket or starts a process
    fast: does neither
    open: a known fault
"""

SAMPLE = '''
import socket
import threading

import pytest


def make():
    socket.socket().close()


@pytest.fixture(scope="module")
def module_socket():
    make()


def test_plain():
    """It does neither."""


@pytest.mark.slow
def test_marked():
    make()


@pytest.mark.open
def test_open():
    raise AssertionError("a fault that is not mended yet")


def test_unmarked():
    make()


def test_unmarked_in_a_thread():
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()


def test_unmarked_in_a_module_s_fixture(module_socket):
    """Its fixture opens the socket before the fixtures of the function begin."""
'''

ALL_SLOW = """
import pytest

pytestmark = [pytest.mark.slow]
raise ImportError("a fast run needs no such file")
"""


@pytest.fixture
def run(tmp_path):
    """Return the outcome of each test of the sample that a `-m` expression selects, by its name."""
    (tmp_path / "pytest.ini").write_text(CONFIGURATION)
    (tmp_path / "test_sample.py").write_text(SAMPLE)

    def run(expression):
        plugin = "tests.support.processes.fast_or_slow"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            plugin,
            "-m",
            expression,
            str(tmp_path),
        ]
        env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
        ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
        lines = (line.split() for line in ended.stdout.splitlines() if "::" in line and "%]" in line)
        outcomes = {}
        for name, outcome, *_ in lines:
            outcomes.setdefault(name.rpartition("::")[2], []).append(outcome)
        return outcomes

    return run


def test_a_fast_run_leaves_slow_and_open_tests_out(run):
    assert not {"test_marked", "test_open"} & set(run("fast"))


def test_a_fast_test_fails_where_it_opens_a_socket_in_any_thread_or_fixture(run):
    outcomes = run("fast")
    assert outcomes["test_plain"] == ["PASSED"]
    for name in ("test_unmarked", "test_unmarked_in_a_thread", "test_unmarked_in_a_module_s_fixture"):
        assert outcomes[name] == ["PASSED", "ERROR"], name


def test_a_fast_run_imports_no_file_whose_every_test_is_slow(run, tmp_path):
    (tmp_path / "test_clients.py").write_text(ALL_SLOW)
    assert run("fast")["test_plain"] == ["PASSED"]
    assert run("slow or fast") == {}


def test_a_slow_test_may_open_a_socket(run):
    assert run("slow") == {"test_marked": ["PASSED"]}
