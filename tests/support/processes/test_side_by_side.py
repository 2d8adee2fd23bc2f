"""A plain `pytest` runs tests side by side, and alone what has to be; a test that says it is fast is."""

import re
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.processes.children import child
from tests.support.processes.further import further
from tests.support.processes.schedule import FEWEST_AHEAD
from tests.support.processes.side_by_side import QUIET

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = ("-p", "xdist", "-p", "tests.support.processes.fast_or_slow", "-p", "tests.support.processes.side_by_side")
SIDE_BY_SIDE = (*PLUGINS, "-n", "2")
"""As a plain run does it, on no more processes than the test needs."""
NO_OTHER_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
CONFIGURATION = """
    [pytest]
    testpaths = .
    addopts = -ra --strict-markers
    markers =
        slow
        fast
        alone
        quiet
"""

MEETING = """
    import os, threading
    from pathlib import Path
    import pytest

    def meet(mine, other):
        Path(mine).write_text(str(os.getpid()))
        for _ in range(1000):
            if Path(other).exists():
                return
            threading.Event().wait(0.01)
        pytest.fail("nobody came")

    def test_one():
        meet("one", "other")

    def test_other():
        meet("other", "one")
"""

TURNS = """
    import os, threading
    from pathlib import Path
    import pytest

    @pytest.fixture(autouse=True)
    def others(request):
        running = Path("running")
        running.mkdir(exist_ok=True)
        mine = running / request.node.name
        mine.touch()
        def look():
            return [it.name for it in running.iterdir() if it != mine]
        yield look
        mine.unlink()

    @pytest.mark.alone
    @pytest.mark.parametrize("number", range(5))
    def test_alone(others, number):
        for _ in range(10):
            assert not others()
            threading.Event().wait(0.01)

    @pytest.mark.quiet
    @pytest.mark.parametrize("number", range(20))
    def test_quiet(others, number):
        for _ in range(3):
            assert not [name for name in others() if "quiet" not in name]
            threading.Event().wait(0.01)

    @pytest.mark.parametrize("number", range(40))
    def test_beside(others, number):
        threading.Event().wait(0.01)
        assert not [name for name in others() if "beside" not in name]
"""

ORDER = """
    import pytest

    @pytest.mark.alone
    def test_first_in_the_file():
        pass

    @pytest.mark.quiet
    def test_second_in_the_file():
        pass

    def test_third_in_the_file():
        pass
"""

KINDS = """
    import os, threading
    import pytest

    def note(kind):
        with open("ran", "a") as file:
            file.write(f"{os.getpid()} {kind}\\n")
        threading.Event().wait(0.01)

    @pytest.mark.alone
    @pytest.mark.parametrize("number", range(5))
    def test_alone(number):
        note("alone")

    @pytest.mark.quiet
    @pytest.mark.parametrize("number", range(20))
    def test_quiet(number):
        note("quiet")

    @pytest.mark.parametrize("number", range(60))
    def test_fast(number):
        note("fast")

    @pytest.mark.slow
    @pytest.mark.parametrize("number", range(30))
    def test_slow(number):
        note("slow")
"""

LIAR = """
    import socket, subprocess, sys, pytest

    def test_that_opens_a_socket():
        socket.socket().close()

    def test_that_starts_a_process():
        subprocess.run([sys.executable, "-c", ""], check=True)

    def test_that_does_neither():
        pass

    @pytest.mark.slow
    def test_that_says_so():
        socket.socket().close()
"""

OUTCOMES = """
    import threading, pytest

    @pytest.fixture
    def breaks_before():
        raise LookupError("broken before")

    @pytest.fixture
    def breaks_behind():
        yield
        raise LookupError("broken behind")

    @pytest.fixture
    def takes_long():
        threading.Event().wait(0.06)

    def test_passes(takes_long):
        pass

    def test_fails():
        raise LookupError("broken within")

    def test_that_breaks_before(breaks_before):
        pass

    def test_that_breaks_behind(breaks_behind):
        pass

    def test_skips():
        pytest.skip("no reason")

    @pytest.mark.xfail
    def test_fails_as_expected():
        raise LookupError
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest over a file, and return its exit status and what it printed."""
    (tmp_path / "pytest.ini").write_text(textwrap.dedent(CONFIGURATION))

    def run(test, *arguments):
        (tmp_path / "test_it.py").write_text(textwrap.dedent(test))
        command = f"cd {tmp_path} && exec {sys.executable} -m pytest -p no:cacheprovider {' '.join(arguments)}"
        with child("bash", "-c", command, env={"PYTHONPATH": str(ROOT)} | NO_OTHER_PLUGINS) as process:
            status = process.wait(timeout_s=60)
            return status, process.output

    return run


def test_a_plain_run_is_side_by_side(run, tmp_path):
    status, output = run(MEETING, *PLUGINS)
    assert status == 0, output
    assert len({(tmp_path / name).read_text() for name in ("one", "other")}) == 2


@pytest.mark.parametrize(
    "arguments", [["test_it.py"], further(["-p", "no:xdist"]), further(["-n", "0"]), further(["-s"])], ids=" ".join
)
def test_a_run_that_someone_looks_into_is_in_one_process(run, arguments):
    status, output = run(ORDER, *PLUGINS, *arguments)
    assert status == 0, output
    assert "workers" not in output
    assert "3 passed" in output


def test_nothing_runs_beside_a_test_that_is_alone_and_no_other_test_beside_a_quiet_one(run):
    status, output = run(TURNS, *PLUGINS, "-n", "3", "-v")
    assert status == 0, output
    assert "workers" in output
    assert "65 passed" in output
    assert len(set(re.findall(r"PASSED.* (test_it\.py::\S+)", output))) == 65


def test_a_run_side_by_side_reports_every_outcome_and_each_long_part(run):
    status, output = run(OUTCOMES, *SIDE_BY_SIDE, "--durations=9", "-vv")
    assert status == 1, output
    assert "1 failed, 2 passed, 1 skipped, 1 xfailed, 2 errors" in output
    for part in ("within", "before", "behind"):
        assert f"broken {part}" in output
    assert "setup    test_it.py::test_passes" in output
    assert "SKIPPED [1] test_it.py" in output


@pytest.mark.exhaustive
def test_a_file_of_results_has_the_time_of_every_test(run, tmp_path):
    run(OUTCOMES, *SIDE_BY_SIDE, "--junitxml=results.xml")
    cases = re.findall(r'<testcase [^>]*name="(\w+)" time="([\d.]+)"', (tmp_path / "results.xml").read_text())
    assert len(cases) == 6
    assert float(dict(cases)["test_passes"]) >= 0.06


def test_quiet_tests_run_side_by_side(run):
    status, output = run("import pytest\npytestmark = pytest.mark.quiet\n" + textwrap.dedent(MEETING), *SIDE_BY_SIDE)
    assert status == 0, output
    assert "workers" in output


def test_a_quiet_test_comes_behind_the_others_and_behind_it_a_test_that_is_alone(run):
    status, output = run(ORDER, *PLUGINS, "-v", "test_it.py")
    assert status == 0, output
    order = [output.index(f"test_{name}_in_the_file") for name in ("third", "second", "first")]
    assert order == sorted(order)


def test_processes_get_slow_tests_first_then_fast_then_quiet_and_one_gets_all_that_are_alone(run, tmp_path):
    status, output = run(KINDS, *SIDE_BY_SIDE)
    assert status == 0, output
    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    for process in {process for process, _ in ran}:
        kinds = [kind for each, kind in ran if each == process]
        assert kinds == sorted(kinds, key=["slow", "fast", "quiet", "alone"].index)
    # Another process may be late with the last quiet tests that it got.
    behind = [kind for _, kind in ran][[kind for _, kind in ran].index("alone") :]
    assert set(behind) <= {"alone", "quiet"}
    assert behind.count("quiet") <= FEWEST_AHEAD[QUIET]
    assert len({process for process, kind in ran if kind == "alone"}) == 1
    assert len({process for process, kind in ran if kind == "quiet"}) == 2


def test_a_fast_test_that_opens_a_socket_or_starts_a_process_fails(run):
    status, output = run(LIAR, *PLUGINS, "test_it.py")
    assert status == 1, output
    assert "{'socket.__new__'}: a test that does this is to be marked `slow`" in output
    assert "{'subprocess.Popen'}: a test that does this is to be marked `slow`" in output
    assert "4 passed, 2 errors" in output
    status, output = run(LIAR, *PLUGINS, "-m", "fast", "test_it.py")
    assert "3 passed, 1 deselected, 2 errors" in output
