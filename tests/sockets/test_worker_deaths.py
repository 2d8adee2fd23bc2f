"""Workers die by SIGKILL under callers that ask by text and by voice: each question is answered once."""

import asyncio
import json
import os
import signal
import urllib.request
from contextlib import ExitStack

from router.simulator import Simulator, SimulatorConfig
from tests.support.clients.questioners import Questioner
from tests.support.clients.voice_agent import PATHS
from tests.support.processes.children import router

CALLERS = 8
DEATHS = 3
TURNS_BETWEEN = 2
"""The turns of each caller between two deaths: the first one may be cut, and the second one clears the session."""
WAIT_S = 60.0


def workers_of(process):
    """Return the workers that serve, with their number of sessions."""
    with urllib.request.urlopen(f"http://{process.address}/readyz") as response:
        return {it["pid"]: it["sessions"] for it in json.load(response)["workers"] if it["stage"] == "serving"}


async def kill_one(process, callers):
    """Kill the busiest worker, and wait until each caller has had further answers."""
    workers = workers_of(process)
    victim = max(workers, key=workers.get)
    turns = {caller: len(caller.turns) + TURNS_BETWEEN for caller in callers}
    os.kill(victim, signal.SIGKILL)
    await asyncio.to_thread(process.child.wait_for, rf"worker {victim} died, others continue its calls")
    async with asyncio.timeout(WAIT_S):
        for caller, count in turns.items():
            await caller.wait_for_turn(count)


async def ask_under_deaths(process):
    """Let all callers ask while workers die. Return the callers."""
    callers = [Questioner(n, process.address, PATHS[n % 2], speaks=n % 4 > 1) for n in range(CALLERS)]
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as calls:
        for caller in callers:
            calls.create_task(caller.call(is_over))
        for caller in callers:
            await caller.wait_for_turn(2)
        for _ in range(DEATHS):
            await kill_one(process, callers)
        is_over.set()
    return callers


def test_no_question_is_lost_and_none_is_answered_twice_when_workers_die():
    with Simulator(SimulatorConfig(pace=4)) as simulator, ExitStack() as stack:
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        callers = asyncio.run(ask_under_deaths(process))
        assert [it for caller in callers for it in caller.faults()] == []
        assert not any(caller.errors for caller in callers)
        assert sum(caller.warnings.count("SESSION_RECOVERED") for caller in callers) > CALLERS // 2
