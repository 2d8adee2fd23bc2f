"""A main process that replaces another under calls: `switchboard serve --take-over`."""

import re
import shutil
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from websockets.sync.client import connect

from router.simulator import Simulator, SimulatorConfig
from tests.support.clients.voice_agent import hold_text_turn, voice_agent
from tests.support.processes.children import RUN_PY, child, workers_of

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

REPOSITORY = Path(RUN_PY).parent
SERVICE_RESTART = 1012
DRAIN_S = 8


class Deploy:
    """Versions of the program on one host, one after the other on the same port."""

    def __init__(self, stack, simulator, folder):
        self._stack = stack
        self._flags = ["--upstream", simulator.url, "--workers", "2", "--drain-s", str(DRAIN_S)]
        self._folder = folder
        self.port = 0

    def start(self, *flags, program=RUN_PY):
        env = {"TMPDIR": str(self._folder)}
        argv = [sys.executable, program, "--port", str(self.port), *self._flags, *flags]
        return self._stack.enter_context(child(*argv, env=env))

    def first(self):
        process = self.start()
        self.port = int(process.wait_for(r"//127\.0\.0\.1:(\d+)/openai")[1])
        process.wait_for_lines(r"worker \d+ serves", 2)
        return process

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def workers(self):
        return set(workers_of(self.address))


@contextmanager
def knocking(address):
    """Connect and leave, again and again. Yield the failures, and the number of calls that were taken."""
    failures, taken, is_over = [], [], threading.Event()

    def knock():
        while not is_over.is_set():
            try:
                with connect(f"ws://{address}/openai", open_timeout=20) as connection:
                    taken.append(connection.recv(timeout=20))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a caller that was not taken
                failures.append(error)

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield failures, taken
    finally:
        is_over.set()
        thread.join()


@pytest.fixture
def deploy():
    with Simulator(SimulatorConfig(pace=4)) as simulator, ExitStack() as stack:
        # The paths of sockets have to be short.
        yield Deploy(stack, simulator, stack.enter_context(TemporaryDirectory()))


def pids(process):
    return {int(pid) for pid in re.findall(r"worker (\d+) serves", process.output)}


def another_version(folder, file, old, new):
    """Copy the program, with one change in one file. Return the path of its `run.py`."""
    for package in ("router", "actors"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for module in ("run.py", "switchboard_voice.py"):
        shutil.copy(REPOSITORY / module, folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    return folder / "run.py"


def test_calls_move_to_the_main_process_that_takes_over_and_the_other_one_ends(deploy):
    with ExitStack() as stack:
        first = deploy.first()
        agents = [stack.enter_context(voice_agent(deploy.address, path)) for path in ("/openai", "/v1/agent/converse")]
        for agent in agents:
            agent.start()
        agents[0].send("InjectUserMessage", content="Tell me about the sea.")
        agents[0].wait_for_audio()
        with knocking(deploy.address) as (failures, taken):
            second = deploy.start("--take-over")
            second.wait_for(f"the process {first.pid} is replaced: its calls move here")
            assert first.wait(timeout_s=DRAIN_S + 10) == 0
        assert failures == []
        assert len(taken) > 1
        assert len(first.wait_for_lines("0 were lost", 2)) == 2
        agents[0].wait_for_turn()
        for agent in agents:
            hold_text_turn(agent, "are you still there")
            codes = {it["code"] for it in agent.received.of("Warning")}
            assert codes <= {"MODEL_NOT_AVAILABLE"}, codes
        with voice_agent(deploy.address, "/openai") as new:
            new.start()
        assert deploy.workers() == pids(second)
        third = deploy.start("--take-over")
        assert second.wait(timeout_s=DRAIN_S + 10) == 0
        hold_text_turn(agents[0], "and now")
        assert deploy.workers() == pids(third)
        for agent in agents:
            agent.connection.close()
        assert third.stop(timeout_s=DRAIN_S + 10) == 0
        assert "Traceback" not in first.output + second.output + third.output


def test_a_version_whose_workers_do_not_start_leaves_the_one_that_serves(deploy, tmp_path):
    make = "            self.router = self._make_router(self._config)\n"
    broken = another_version(
        tmp_path / "v2", "router/web/server.py", make, f'            raise StartError("broken on purpose")\n{make}'
    )
    first = deploy.first()
    with voice_agent(deploy.address, "/openai") as agent:
        agent.start()
        second = deploy.start("--take-over", program=broken)
        assert second.wait(timeout_s=20) != 0
        assert "broken on purpose" in second.output
        first.wait_for("no other main process takes over, and the workers here go on")
        hold_text_turn(agent, "are you still there")
        assert deploy.workers() == pids(first)
        third = deploy.start("--take-over")
        assert first.wait(timeout_s=DRAIN_S + 10) == 0
        hold_text_turn(agent, "and now")
        assert deploy.workers() == pids(third)


def test_sessions_that_the_other_version_cannot_read_drain(deploy, tmp_path):
    newer = another_version(
        tmp_path / "v2", "router/session/layouts.py", "VERSION: Final = ", "VERSION: Final = 100 + "
    )
    first = deploy.first()
    with voice_agent(deploy.address, "/openai") as agent:
        agent.start()
        agent.send("InjectUserMessage", content="Tell me about the sea.")
        agent.wait_for_audio()
        second = deploy.start("--take-over", program=newer)
        assert agent.wait_for_close() == SERVICE_RESTART
        assert "AgentAudioDone" in agent.received.types
        assert first.wait(timeout_s=DRAIN_S + 10) == 0
        assert deploy.workers() == pids(second)


def test_without_a_server_the_command_starts_as_usual(deploy):
    process = deploy.start("--take-over")
    process.wait_for("no server of this user is there to be replaced")
    process.wait_for_lines(r"worker \d+ serves", 2)
    assert process.stop() == 0
