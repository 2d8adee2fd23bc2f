"""Workers die by SIGKILL under callers that ask by text and by voice: each question is answered once."""

import asyncio
import os
import signal
import sys
from contextlib import ExitStack, contextmanager

import pytest

from router.simulator import Simulator, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients import openai_clients
from tests.support.clients.questioners import Questioner, RealtimeQuestioner, RelayQuestioner
from tests.support.clients.telephone import BYTES_PER_S, Telephone, dialled
from tests.support.clients.voice_agent import PATHS, hold_text_turn, voice_agent
from tests.support.processes.children import RUN_PY, child, router, workers_of
from tests.support.processes.further import further

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings(openai_clients.LEGACY)]

CALLERS = 8
DEATHS = 3
TURNS_BETWEEN = 2
"""The turns of each caller between two deaths: the first one may be cut, and the second one clears the session."""
WAIT_S = 60.0
MOST_TURNS = 1000

POISONED = """
import os, signal, sys
sys.path.insert(0, os.path.dirname(sys.argv[0]))
from router.fronts.realtime.machine import RealtimeRelay
from router.session.machine import Session
def or_die(handle):
    def handle_or_die(session, message, now_s):
        if "poison" in str(getattr(message, "text", "")):
            os.kill(os.getpid(), signal.SIGKILL)
        return handle(session, message, now_s)
    return handle_or_die
for kind in (RealtimeRelay, Session):
    kind.handle = or_die(kind.handle)
from switchboard_voice import main
sys.exit(main())
"""
"""A command whose session kills the worker that handles a certain message of its client."""


async def kill_one(process, callers):
    """Kill the busiest worker, and wait until each caller has had further answers."""
    workers = workers_of(process.address)
    victim = max(workers, key=workers.get)
    turns = {caller: len(caller.turns) + TURNS_BETWEEN for caller in callers}
    os.kill(victim, signal.SIGKILL)
    await asyncio.to_thread(process.child.wait_for, rf"worker {victim} died, others continue its calls")
    async with asyncio.timeout(WAIT_S):
        for caller, count in turns.items():
            await caller.wait_for_turn(count)


def of_deepgram(process):
    """Return callers that speak Deepgram's protocol."""
    return [Questioner(n, process.address, PATHS[n % 2], speaks=n % 4 > 1) for n in range(CALLERS)]


def of_openai(process):
    """Return callers that speak OpenAI's."""
    return [RealtimeQuestioner(n, process.address, speaks=n % 2 > 0) for n in range(CALLERS)]


async def ask_under_deaths(process, callers):
    """Let all callers ask while workers die."""
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as calls:
        for caller in callers:
            calls.create_task(caller.call(is_over))
        for caller in callers:
            await caller.wait_for_turn(2)
        for _ in range(DEATHS):
            await kill_one(process, callers)
        is_over.set()


GUARD = """
[[guard.rules]]
expression = "secret"
on = ["user", "agent"]
action = "block"
"""


def on_the_relay(process):
    """Return callers whose upstream is Deepgram's own backend."""
    return [RelayQuestioner(n, process.address, speaks=n % 2 > 0) for n in range(CALLERS)]


@pytest.mark.parametrize("guard", ["", further(GUARD)], ids=["no guard", "a guard"])
def test_calls_on_the_relay_of_deepgram_outlive_their_workers(guard, tmp_path):
    config = tmp_path / "router.toml"
    with DeepgramSimulator(SimulatorConfig(pace=4)) as backend, ExitStack() as stack:
        config.write_text(f'deepgram_api_key = "dg-0123456789"\ndeepgram_agent_url = "{backend.url}"\n{guard}')
        process = stack.enter_context(router("--config", str(config), "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        callers = on_the_relay(process)
        asyncio.run(ask_under_deaths(process, callers))
        assert [it for caller in callers for it in caller.faults()] == []
        assert not any(caller.errors for caller in callers)
        assert any("SESSION_RECOVERED" in caller.warnings for caller in callers)


@pytest.mark.parametrize(
    ("callers_of", "settings", "workers"),
    [
        (of_deepgram, "", 2),
        (of_deepgram, "", 1),
        further(of_openai, "", 2),
        further(of_deepgram, GUARD, 2),
        further(of_openai, GUARD, 2),
    ],
    ids=["Deepgram's clients", "the only worker", "OpenAI's clients", "a guard", "a guard for OpenAI's clients"],
)
def test_no_question_is_lost_and_none_is_answered_twice_when_workers_die(callers_of, settings, workers, tmp_path):
    config = tmp_path / "router.toml"
    config.write_text(settings)
    with Simulator(SimulatorConfig(pace=4)) as simulator, ExitStack() as stack:
        flags = ("--config", str(config), "--upstream", simulator.url, "--workers", str(workers))
        process = stack.enter_context(router(*flags))
        process.child.wait_for_lines(r"worker \d+ serves", workers)
        callers = callers_of(process)
        asyncio.run(ask_under_deaths(process, callers))
        assert [it for caller in callers for it in caller.faults()] == []
        assert not any(caller.errors for caller in callers)
        assert len(process.child.wait_for_lines("was taken over from a dead worker", CALLERS // 2)) >= CALLERS // 2


TELEPHONE = """
twilio_dtmf = "message"
[agents.silent]
"""
ANSWER_DIFFERENCE_S = 1.0
"""Two words of a spoken answer, which may be lost or repeated."""


QUIET_S = 2.5
"""The silence after which an answer counts as over, although another worker may have to continue it."""


def hear_answer(phone, *, meanwhile=None):
    """Ask by a key, call `meanwhile` within the answer, and return the seconds of audio until the answer has ended."""
    before = len(phone.audio)
    phone.press("#")
    phone.run(lambda: len(phone.audio) > before + BYTES_PER_S)
    if meanwhile is not None:
        assert phone.left_s > 0
        meanwhile()
    count = -1
    while count != len(phone.audio):
        count = len(phone.audio)
        phone.run(lambda: not phone.left_s)
        phone.run_for(QUIET_S)
    return (count - before) / BYTES_PER_S


@pytest.mark.parametrize(
    ("pace", "settings"), [(1, ""), further(8, ""), further(2, GUARD)], ids=["as spoken", "far ahead", "a guard"]
)
def test_a_telephone_call_outlives_its_worker_and_its_caller_hears_the_rest_of_the_answer(pace, settings, tmp_path):
    config = tmp_path / "router.toml"
    with Simulator(SimulatorConfig(pace=pace)) as simulator, ExitStack() as stack:
        config.write_text(f'upstream = "{simulator.url}"\n{TELEPHONE}{settings}')
        process = stack.enter_context(router("--config", str(config), "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        phone = Telephone(stack.enter_context(dialled(process.address)))
        phone.begin(agent="silent")

        def kill():
            workers = workers_of(process.address)
            os.kill(max(workers, key=workers.get), signal.SIGKILL)
            phone.run(lambda: "was taken over from a dead worker" in process.child.output)

        whole_s = hear_answer(phone)
        cut_s = hear_answer(phone, meanwhile=kill)
        assert abs(cut_s - whole_s) < ANSWER_DIFFERENCE_S
        assert abs(hear_answer(phone) - whole_s) < ANSWER_DIFFERENCE_S
        names = [message["mark"]["name"] for _, message in phone.of("mark")]
        assert len(set(names)) == len(names)
        assert not phone.is_closed


@contextmanager
def two_workers(command, *flags):
    """Run a command with two workers at a simulator. Yield its process and its address when both serve."""
    argv = (sys.executable, "-c", f"import sys; sys.argv[0] = {str(RUN_PY)!r}\n{command}", "--port", "0")
    with (
        Simulator(SimulatorConfig(pace=0)) as simulator,
        child(*argv, "--workers", "2", *flags, "--upstream", simulator.url) as process,
    ):
        address = process.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1]
        process.wait_for_lines(r"worker \d+ serves", 2)
        yield process, address


def recordings_of(session_id, folder):
    """Return the recordings of a session that are on the disk."""
    return [path for path in (folder / "recordings").glob("*") if session_id in path.name and path.stat().st_size]


def test_a_session_that_kills_its_workers_is_given_up_and_the_others_go_on(tmp_path):
    record = ("--record", tmp_path / "recordings")
    with two_workers(POISONED, *record) as (process, address), ExitStack() as stack:
        poisoned, *others = (stack.enter_context(voice_agent(address, path)) for path in (*PATHS, *PATHS))
        for agent in (poisoned, *others):
            agent.start()
        (session_id,) = (it["request_id"] for it in poisoned.received.of("Welcome"))
        # A thread writes the recording, a little later.
        for _ in range(MOST_TURNS):
            if recordings_of(session_id, tmp_path):
                break
            hold_text_turn(poisoned, "hello")
        poisoned.send("InjectUserMessage", content="poison")
        assert poisoned.wait_for_close() == 1011
        assert [it["code"] for it in poisoned.received.of("Error")] == ["SESSION_LOST"]
        assert len(process.wait_for_lines(r"worker \d+ died", 3)) == 3
        for agent in others:
            hold_text_turn(agent, "are you still there")
        (kept,) = recordings_of(session_id, tmp_path)
        assert kept.name == f"{session_id}.kept.jsonl"
        assert process.stop() == 0


STALLED = """
import os, sys, time
sys.path.insert(0, os.path.dirname(sys.argv[0]))
from actors.watchdog import Watchdog
from router.session.machine import Session
Watchdog.__init__.__kwdefaults__["look_s"] = 0.4
handle = Session.handle
def handle_or_stall(session, message, now_s):
    while "stall" in str(getattr(message, "text", "")):
        time.sleep(0.1)
    return handle(session, message, now_s)
Session.handle = handle_or_stall
from switchboard_voice import main
sys.exit(main())
"""
"""A command whose session never returns from a certain message of its client."""


def test_a_worker_whose_dispatcher_stalls_for_good_is_shot_and_its_other_calls_go_on():
    with two_workers(STALLED) as (process, address), ExitStack() as stack:
        stalling, *others = (stack.enter_context(voice_agent(address, path)) for path in PATHS * 3)
        for agent in (stalling, *others):
            agent.start()
            hold_text_turn(agent, "hello")
        stalling.send("InjectUserMessage", content="stall")
        assert stalling.wait_for_close() == 1011
        assert [it["code"] for it in stalling.received.of("Error")] == ["INTERNAL_SERVER_ERROR"]
        process.wait_for(r"worker \d+ died, others continue its calls")
        for agent in others:
            hold_text_turn(agent, "are you still there")
            assert agent.received.of("Error") == []
        assert "SESSION_RECOVERED" in {it["code"] for agent in others for it in agent.received.of("Warning")}
        assert "cannot be continued" not in process.output
        assert process.stop() == 0


def test_a_call_of_openais_client_that_kills_its_workers_is_given_up():
    with two_workers(POISONED) as (process, address), ExitStack() as stack:
        connected = (openai_clients.in_process(address) for _ in range(2))
        poisoned, other = (stack.enter_context(it) for it in connected)
        for client in (poisoned, other):
            client.wait_for("session.created")
        poisoned.say("poison")
        poisoned.wait_until("end", lambda: poisoned.close_code)
        assert poisoned.close_code == 1011
        assert poisoned.wire.errors == ["session_lost"]
        assert len(process.wait_for_lines(r"worker \d+ died", 3)) == 3
        other.say("are you still there")
        other.wait_for_answers(1)
        other.close()
        assert other.wire.errors == [] == other.problems
        assert process.stop() == 0
