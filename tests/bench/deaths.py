"""Kills workers while many callers talk: `python -m tests.bench.deaths`.

Half of the callers ask by text and half by voice, on both routes of Deepgram's protocol or on `/v1/realtime`. Every few
seconds a random worker gets SIGKILL. Each question must be answered once, and no text may come twice. Otherwise the
exit code is 1.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack

from router.simulator import Simulator, SimulatorConfig
from tests.bench.figures import percentile
from tests.support.clients.questioners import Questioner, RealtimeQuestioner, differing
from tests.support.clients.voice_agent import PATHS
from tests.support.processes.children import router

WARM_UP_S = 8.0


def main():
    """Run, print the figures, and judge them."""
    options = parse()
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(SimulatorConfig(pace=options.pace)))
        flags = ("--upstream", simulator.url, "--workers", str(options.workers))
        process = stack.enter_context(router(*flags))
        process.child.wait_for_lines(r"worker \d+ serves", options.workers)
        callers, deaths = asyncio.run(hold(process, options))
        counted = fetch(process, "/metrics").decode()
    faults = [it for caller in callers for it in caller.faults()]
    print("\n".join([*faults, *report(callers, deaths, counted)]))
    return 1 if faults or not deaths else 0


def parse():
    """The flags."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.deaths", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--callers", type=int, default=100, metavar="N", help="(100)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="of the router (2)")
    parser.add_argument("--every", type=float, default=5.0, metavar="S", help="seconds between two deaths (5)")
    parser.add_argument("--minutes", type=float, default=3.0, metavar="MIN", help="for so long (3)")
    parser.add_argument(
        "--pace", type=float, default=1.0, metavar="N", help="of the agent's speech, 1 for real time (1)"
    )
    parser.add_argument(
        "--front", choices=("deepgram", "realtime"), default="deepgram", help="the protocol of the callers (deepgram)"
    )
    return parser.parse_args()


async def hold(process, options):
    """Let all callers talk while workers die. Return the callers, and the number of deaths."""
    callers = [make_caller(n, process.address, options.front) for n in range(options.callers)]
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as calls:
        for caller in callers:
            calls.create_task(caller.call(is_over))
            await asyncio.sleep(WARM_UP_S / 2 / len(callers))
        await asyncio.sleep(WARM_UP_S / 2)
        deaths = await kill_workers(process, options)
        is_over.set()
    return callers, deaths


def make_caller(number, address, front):
    """Return a caller that speaks Deepgram's protocol or OpenAI's. Half of the callers ask by voice."""
    if front == "realtime":
        return RealtimeQuestioner(number, address, speaks=number % 2 > 0)
    return Questioner(number, address, PATHS[number % 2], speaks=number % 4 > 1)


async def kill_workers(process, options):
    """Kill a random worker again and again. Return the number of kills."""
    deaths, until_s = 0, time.monotonic() + options.minutes * 60
    while time.monotonic() < until_s:
        ready = json.loads(await asyncio.to_thread(fetch, process, "/readyz"))
        workers = [it["pid"] for it in ready["workers"] if it["stage"] == "serving"]
        if workers:
            os.kill(random.choice(workers), signal.SIGKILL)  # noqa: S311
            deaths += 1
        await asyncio.sleep(options.every)
    return deaths


def fetch(process, path):
    """Read a page of the router."""
    with urllib.request.urlopen(f"http://{process.address}{path}", timeout=30) as response:
        return response.read()


def report(callers, deaths, counted):
    """Return the figures as lines."""
    turns = [turn for caller in callers for turn in caller.turns]
    took = [turn.took_s for turn in turns if turn.took_s is not None]
    words = Counter(differing(turn.answer, turn.expected) for turn in turns if turn.expected and turn.took_s)
    recoveries = [line for line in counted.splitlines() if line.startswith("switchboard_recoveries_total{")]
    warnings = Counter(code for caller in callers for code in caller.warnings)
    return [
        f"{deaths} deaths, {len(callers)} callers, {len(turns)} questions, {len(took)} answers",
        f"seconds from a question to the end of its answer: median {percentile(took, 0.5):.1f}, most {max(took):.1f}",
        f"words that differ, in how many answers to a text: {dict(sorted(words.items()))}",
        f"calls that ended typed: {sum(caller.is_lost for caller in callers)}; warnings: {dict(warnings)}",
        *recoveries,
    ]


if __name__ == "__main__":
    sys.exit(main())
