"""A run in the background, which ignores SIGINT, starts processes that do not."""

import signal
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.processes.children import child

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
IN_THE_BACKGROUND = "trap '' INT; exec \"$@\""
"""What a shell without job control does for a command behind `&`."""
TEST = """
    import signal, sys
    from tests.support.processes.children import child

    WAIT = "import threading; print('ready', flush=True); threading.Event().wait(30)"

    def test_sigint_ends_a_process():
        with child(sys.executable, "-c", WAIT) as process:
            process.wait_for("ready")
            assert process.stop(signal.SIGINT) == -signal.SIGINT
"""


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_test_of_a_run_in_the_background_can_interrupt_a_process(tmp_path, processes):
    (tmp_path / "test_it.py").write_text(textwrap.dedent(TEST))
    plugins = ("-p", "xdist", "-p", "tests.support.processes.interrupts")
    command = (sys.executable, "-m", "pytest", "-q", *plugins, "-n", processes, tmp_path / "test_it.py")
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT)}
    with child("bash", "-c", IN_THE_BACKGROUND, "bash", *command, env=env) as process:
        process.wait_for(r"1 passed")
        assert process.wait() == 0


def test_this_run_does_not_ignore_sigint():
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
