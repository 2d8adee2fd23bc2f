"""No room for files, or no descriptor, is left: calls go on, and the death of a worker ends none of them."""

import os
import re
import resource
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from router.simulator import Simulator, SimulatorConfig
from tests.support.clients.voice_agent import PATHS, hold_text_turn, voice_agent
from tests.support.processes.children import RUN_PY, child, router, workers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def can_mount():
    """Whether this user may mount a file system in a namespace of its own."""
    tried = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    return sys.platform == "linux" and subprocess.run(tried, capture_output=True, check=False).returncode == 0


def kill_busiest(address):
    """Kill the worker with the most sessions, and return it."""
    serving = workers_of(address)
    victim = max(serving, key=serving.get)
    os.kill(victim, signal.SIGKILL)
    return victim


@contextmanager
def callers(address):
    """Start four callers."""
    with ExitStack() as stack:
        agents = [stack.enter_context(voice_agent(address, path)) for path in (*PATHS, *PATHS)]
        for agent in agents:
            agent.start()
        yield agents


def all_ask(agents):
    for agent in agents:
        hold_text_turn(agent, "are you still there")
        assert agent.received.of("Error") == []


LEAST_FILES = 3
"""Those of the standard streams."""


@contextmanager
def no_descriptor_left(pid):
    """Let a process open no file any more, as long as it closes none."""
    process = psutil.Process(pid)
    before = process.rlimit(resource.RLIMIT_NOFILE)
    taken = {int(it.name) for it in Path(f"/proc/{pid}/fd").iterdir()}
    free = next(number for number in range(len(taken) + 1) if number not in taken)
    process.rlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def none_at_all(pid):
    """Let a process open no file, even where it closes others. It cannot send the files that it has, either."""
    process = psutil.Process(pid)
    before = process.rlimit(resource.RLIMIT_NOFILE)
    process.rlimit(resource.RLIMIT_NOFILE, (LEAST_FILES, before[1]))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount a file system")
def test_a_worker_that_dies_while_no_file_can_be_made_ends_no_call():
    with Simulator(SimulatorConfig(pace=0)) as simulator, ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        mount = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh"]
        flags = ["--port", "0", "--workers", "2", "--upstream", simulator.url]
        env = {"TMPDIR": folder}
        process = stack.enter_context(child(*mount, sys.executable, RUN_PY, *flags, env=env))
        address = process.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1]
        process.wait_for_lines(r"worker \d+ serves", 2)

        def inside(command):
            subprocess.run(["nsenter", f"--target={process.pid}", "--mount", "sh", "-c", command], check=True)

        with callers(address) as agents:
            inside(f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}")
            victim = kill_busiest(address)
            process.wait_for(rf"worker {victim} died, others continue its calls")
            process.wait_for("no worker is started")
            all_ask(agents)
            inside(f"umount {folder}")
            process.wait_for_lines(r"worker \d+ serves", 3)
            kill_busiest(address)
            all_ask(agents)
        assert process.stop() == 0


def test_a_worker_that_dies_while_the_main_process_has_no_descriptor_ends_no_call():
    with Simulator(SimulatorConfig(pace=0)) as simulator, ExitStack() as stack:
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        with callers(process.address) as agents:
            with no_descriptor_left(process.child.pid):
                victim = kill_busiest(process.address)
                process.child.wait_for(rf"worker {victim} died, others continue its calls")
                all_ask(agents)
            process.child.wait_for_lines(r"worker \d+ serves", 3)
            kill_busiest(process.address)
            all_ask(agents)


def test_a_session_that_the_main_process_cannot_keep_goes_on_and_is_counted():
    with Simulator(SimulatorConfig(pace=0)) as simulator, ExitStack() as stack:
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        with none_at_all(process.child.pid), voice_agent(process.address, "/openai") as agent:
            agent.start()
            process.child.wait_for("does not outlive its worker: its socket did not arrive")
            hold_text_turn(agent, "hello")
        unkept = urllib.request.urlopen(f"http://{process.address}/metrics").read().decode()
        assert int(re.search(r'switchboard_recoveries_total{result="unkept"} (\d+)', unkept)[1]) == 1


def test_calls_go_on_in_a_worker_without_a_descriptor_and_others_continue_those_of_the_dead():
    with Simulator(SimulatorConfig(pace=0)) as simulator, ExitStack() as stack:
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        with callers(process.address) as agents:
            serving = workers_of(process.address)
            victim = max(serving, key=serving.get)
            (other,) = set(serving) - {victim}
            with no_descriptor_left(other):
                all_ask(agents)
                os.kill(victim, signal.SIGKILL)
                process.child.wait_for_lines(r"worker \d+ serves", 3)
                all_ask(agents)
            all_ask(agents)


BROKEN = """
import os, sys
sys.path.insert(0, os.path.dirname(sys.argv[0]))
from router.web.worker import Worker
begin = Worker.init_process
def begin_or_fail(worker):
    if os.path.exists({path!r}):
        raise OSError("no room")
    begin(worker)
Worker.init_process = begin_or_fail
from switchboard_voice import main
sys.exit(main())
"""
"""A command whose workers cannot start while a file exists."""


def test_calls_wait_for_a_worker_although_none_can_start_for_a_while(tmp_path):
    broken = tmp_path / "broken"
    with Simulator(SimulatorConfig(pace=0)) as simulator, ExitStack() as stack:
        argv = (sys.executable, "-c", f"import sys; sys.argv[0] = {str(RUN_PY)!r}\n{BROKEN.format(path=str(broken))}")
        process = stack.enter_context(child(*argv, "--port", "0", "--upstream", simulator.url))
        address = process.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1]
        process.wait_for_lines(r"worker \d+ serves", 1)
        with callers(address) as agents:
            broken.touch()
            kill_busiest(address)
            process.wait_for_lines(r"no worker serves, and worker \d+ could not start .*: the next attempt is in", 2)
            for agent in agents:
                agent.send("InjectUserMessage", content="are you still there")
            newcomer = stack.enter_context(ThreadPoolExecutor(1)).submit(workers_of, address)
            broken.unlink()
            for agent in agents:
                agent.wait_for_turn()
                assert agent.received.of("Error") == []
            assert len(newcomer.result()) == 1
        assert process.stop() == 0
