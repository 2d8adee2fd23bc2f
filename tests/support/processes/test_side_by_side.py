"""A plain `pytest` runs tests side by side, and alone what has to be; a test that says it is fast is."""

import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.processes.children import child

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = ("-p", "tests.support.processes.fast_or_slow", "-p", "tests.support.processes.side_by_side")
CONFIGURATION = """
    [pytest]
    testpaths = .
    addopts = -ra --strict-markers
    markers =
        slow
        fast
        alone
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

    @pytest.mark.parametrize("number", range(40))
    def test_beside(others, number):
        threading.Event().wait(0.01)
        assert not [name for name in others() if "alone" in name]
"""

ORDER = """
    import pytest

    @pytest.mark.alone
    def test_first_in_the_file():
        pass

    def test_second_in_the_file():
        pass
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


@pytest.fixture
def run(tmp_path):
    """Run pytest over a file, and return its exit status and what it printed."""
    (tmp_path / "pytest.ini").write_text(textwrap.dedent(CONFIGURATION))

    def run(test, *arguments):
        (tmp_path / "test_it.py").write_text(textwrap.dedent(test))
        command = f"cd {tmp_path} && exec {sys.executable} -m pytest -p no:cacheprovider {' '.join(arguments)}"
        with child("bash", "-c", command, env={"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}) as process:
            status = process.wait(timeout_s=60)
            return status, process.output

    return run


def test_a_plain_run_is_side_by_side(run, tmp_path):
    status, output = run(MEETING, *PLUGINS)
    assert status == 0, output
    assert len({(tmp_path / name).read_text() for name in ("one", "other")}) == 2


@pytest.mark.parametrize("arguments", [["-p", "no:xdist"], ["-n", "0"], ["-s"], ["test_it.py"]], ids=" ".join)
def test_a_run_that_someone_looks_into_is_in_one_process(run, arguments):
    status, output = run(ORDER, *PLUGINS, *arguments)
    assert status == 0, output
    assert "workers" not in output
    assert "2 passed" in output


def test_nothing_runs_beside_a_test_that_is_alone(run):
    status, output = run(TURNS, *PLUGINS)
    assert status == 0, output
    assert "workers" in output
    assert "45 passed" in output


def test_a_test_that_is_alone_comes_behind_the_others(run):
    status, output = run(ORDER, *PLUGINS, "-v", "test_it.py")
    assert status == 0, output
    assert output.index("test_second_in_the_file") < output.index("test_first_in_the_file")


def test_a_fast_test_that_opens_a_socket_or_starts_a_process_fails(run):
    status, output = run(LIAR, *PLUGINS, "test_it.py")
    assert status == 1, output
    assert "{'socket.__new__'}: a test that does this is to be marked `slow`" in output
    assert "{'subprocess.Popen'}: a test that does this is to be marked `slow`" in output
    assert "4 passed, 2 errors" in output
    status, output = run(LIAR, *PLUGINS, "-m", "fast", "test_it.py")
    assert "3 passed, 1 deselected, 2 errors" in output
