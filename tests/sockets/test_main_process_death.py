"""The main process dies by SIGKILL, and with it the keeper: calls go on, and move to a main process in its place."""

import os
import re
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from router.simulator import Simulator, SimulatorConfig
from tests.support.clients.voice_agent import PATHS, hold_text_turn, voice_agent
from tests.support.processes.children import RUN_PY, child, workers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

SERVICE_RESTART = 1012
END_S = 15.0


class Host:
    """Servers on one host, one after the other on the same port."""

    def __init__(self, stack, simulator, folder):
        self._stack = stack
        self._flags = ["--upstream", simulator.url, "--workers", "2", "--drain-s", "4"]
        self.folder = folder
        self.port = 0

    def start(self):
        argv = [sys.executable, RUN_PY, "--port", str(self.port), *self._flags]
        process = self._stack.enter_context(child(*argv, env={"TMPDIR": str(self.folder)}))
        self.port = int(process.wait_for(r"//127\.0\.0\.1:(\d+)/openai")[1])
        process.wait_for_lines(r"worker \d+ serves", 2)
        return process

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def callers(self):
        agents = [self._stack.enter_context(voice_agent(self.address, path)) for path in (*PATHS, *PATHS)]
        for agent in agents:
            agent.start()
        return agents


@pytest.fixture
def host():
    with Simulator(SimulatorConfig(pace=4)) as simulator, ExitStack() as stack:
        # The paths of sockets have to be short.
        yield Host(stack, simulator, Path(stack.enter_context(TemporaryDirectory())))


def kill_main(process):
    """Kill the main process, wait until its workers know, and return them."""
    workers = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    process.wait_for_lines("the main process is gone", 2)
    return workers


def test_calls_go_on_without_a_main_process_and_their_workers_end_with_them(host):
    process = host.start()
    agents = host.callers()
    agents[0].send("InjectUserMessage", content="Tell me about the sea.")
    agents[0].wait_for_audio()
    workers = kill_main(process)
    agents[0].wait_for_turn()
    for agent in agents:
        hold_text_turn(agent, "are you still there")
        assert {it["code"] for it in agent.received.of("Warning")} <= {"MODEL_NOT_AVAILABLE"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", host.port), timeout=5)
    for agent in agents:
        agent.connection.close()
    assert psutil.wait_procs(workers, timeout=END_S)[1] == []
    assert [it.name for it in host.folder.glob("switchboard-*")] == [f"switchboard-{os.geteuid()}"]


def test_calls_without_a_main_process_move_to_the_one_that_a_supervisor_starts(host):
    process = host.start()
    agents = host.callers()
    workers = kill_main(process)
    second = host.start()
    assert psutil.wait_procs(workers, timeout=END_S)[1] == []
    moved = process.wait_for_lines(r"(\d+) sessions moved, 0 were lost", 2)
    assert sum(int(re.search(r"(\d+) sessions moved", line)[1]) for line in moved) == len(agents)
    for agent in agents:
        hold_text_turn(agent, "are you still there")
    # The other main process keeps them, too.
    serving = workers_of(host.address)
    victim = max(serving, key=serving.get)
    os.kill(victim, signal.SIGKILL)
    second.wait_for(rf"worker {victim} died, others continue its calls")
    for agent in agents:
        hold_text_turn(agent, "and now")
        assert agent.received.of("Error") == []
    assert any(it["code"] == "SESSION_RECOVERED" for agent in agents for it in agent.received.of("Warning"))
    assert second.stop() == 0


def test_a_worker_without_a_main_process_drains_after_sigterm(host):
    process = host.start()
    agents = host.callers()
    for worker in kill_main(process):
        worker.terminate()
    assert [agent.wait_for_close() for agent in agents] == [SERVICE_RESTART] * len(agents)
