"""Calls that two backends may serve, under reloads and the deaths of their workers: the clients notice one call."""

import asyncio
import os
import signal
from contextlib import ExitStack, contextmanager

import pytest

from router.simulator import Simulator, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.sockets.test_moves import warnings_of
from tests.sockets.test_worker_deaths import ANSWER_DIFFERENCE_S, TELEPHONE, ask_under_deaths, hear_answer
from tests.support.clients.questioners import Questioner, RelayQuestioner
from tests.support.clients.telephone import Telephone, dialled
from tests.support.clients.voice_agent import hold_text_turn, voice_agent
from tests.support.processes.children import busy_worker_of, router
from tests.support.processes.further import further

pytestmark = pytest.mark.long

OF_DEEPGRAM, OF_OPENAI, OF_COMPONENT = "/deepgram", "/v1/agent/converse", "/component"
PATHS = (OF_DEEPGRAM, OF_OPENAI)
FRONTS = {OF_DEEPGRAM: "deepgram", OF_OPENAI: "converse", OF_COMPONENT: "openai", "/twilio": "twilio"}
ROUTES = "".join(f'[[routes]]\npath = "{path}"\nfront = "{front}"\nfailover = true\n' for path, front in FRONTS.items())
CALLERS = 6
REMEMBER = {"openai": "What do you remember?", "deepgram": "What did I say before?"}
"""The question about the past, in the words of the simulator that continues a call of each backend."""


def assert_remembered(agent, lost, *said):
    """Ask the backend that continues the call of the lost one what the user has said."""
    answer = hold_text_turn(agent, REMEMBER[lost]).text("assistant")
    # OpenAI's simulator knows only the newest text by this question.
    assert all(text in answer for text in said[-1 if lost == "deepgram" else 0 :]), answer


class Place:
    """A router with two workers, and both of its backends."""

    def __init__(self, process, openai, deepgram):
        self.process = process
        self.address, self.child = process.address, process.child
        self.openai = openai
        self.deepgram = deepgram

    def reload(self, times):
        """Reload, and wait until the only call has moved."""
        os.kill(self.child.pid, signal.SIGHUP)
        self.child.wait_for_lines("1 sessions moved, 0 were lost", times)

    def kill(self):
        """Kill the worker with the call, and wait until the keeper has noticed its death."""
        victim = busy_worker_of(self.address)
        os.kill(victim, signal.SIGKILL)
        self.child.wait_for(rf"worker {victim} died, others continue its calls")


@contextmanager
def place(tmp_path, *, pace=20, without=None):
    config = tmp_path / "router.toml"
    with (
        Simulator(SimulatorConfig(pace=pace)) as openai,
        DeepgramSimulator(SimulatorConfig(pace=pace)) as deepgram,
        ExitStack() as stack,
    ):
        config.write_text(
            f'upstream = "{openai.url}"\ndeepgram_api_key = "dg-0123456789"\n'
            f'deepgram_agent_url = "{deepgram.url}"\ndrain_s = 20\n{TELEPHONE}{ROUTES}'
        )
        here = {"openai": openai, "deepgram": deepgram}
        if without is not None:
            here[without].close()
        process = stack.enter_context(router("--config", str(config), "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        yield Place(process, openai, deepgram)


@contextmanager
def begun(here, path):
    """Begin a call, and hold its first turn."""
    with voice_agent(here.address, path, "openai" if path == OF_COMPONENT else None) as agent:
        agent.start()
        hold_text_turn(agent, "My name is Ada.")
        yield agent


sides = pytest.mark.parametrize(
    ("path", "own", "other"), [(OF_DEEPGRAM, "deepgram", "openai"), (OF_OPENAI, "openai", "deepgram")]
)


@sides
def test_a_call_moves_at_each_reload_whichever_backend_serves_it(path, own, other, tmp_path):
    with place(tmp_path) as here, begun(here, path) as agent:
        here.reload(1)
        hold_text_turn(agent, "I like tea.")
        assert warnings_of([agent]) == set()
        getattr(here, own).close()
        assert_remembered(agent, own, "My name is Ada.", "I like tea.")
        assert warnings_of([agent]) == {"UPSTREAM_RESTARTED"}
        warned = len(agent.received.of("Warning"))
        # The other backend serves the call now, and the call moves again.
        here.reload(2)
        hold_text_turn(agent, "And ships.")
        assert_remembered(agent, own, "My name is Ada.", "I like tea.", "And ships.")
        assert len(getattr(here, other).connections) >= 2
        # The next process tries the route's own backend first, which is gone.
        assert len(agent.received.of("Warning")) <= warned + 1
        assert len(agent.received.of("Welcome")) == len(agent.received.of("SettingsApplied")) == 1


@sides
def test_a_call_outlives_its_worker_whichever_backend_serves_it(path, own, other, tmp_path):
    with place(tmp_path) as here, begun(here, path) as agent:
        here.kill()
        hold_text_turn(agent, "I like tea.")
        assert warnings_of([agent]) == {"SESSION_RECOVERED"}
        getattr(here, own).close()
        assert_remembered(agent, own, "My name is Ada.", "I like tea.")
        here.kill()
        hold_text_turn(agent, "And ships.")
        assert_remembered(agent, own, "My name is Ada.", "I like tea.", "And ships.")
        assert len(getattr(here, other).connections) >= 2
        assert warnings_of([agent]) == {"SESSION_RECOVERED", "UPSTREAM_RESTARTED"}
        assert len(agent.received.of("Welcome")) == len(agent.received.of("SettingsApplied")) == 1


@sides
def test_a_call_whose_backend_and_worker_die_together_is_answered_by_the_other_backend(path, own, other, tmp_path):
    with place(tmp_path, pace=2) as here, begun(here, path) as agent:
        agent.send("InjectUserMessage", content="Tell me about the sea.")
        agent.wait_for("ConversationText")
        agent.wait_for("ConversationText")
        getattr(here, own).close()
        here.kill()
        agent.wait_for_turn()
        assert agent.received.text("user").count("Tell me about the sea.") == 1
        assert "SESSION_RECOVERED" in warnings_of([agent])
        assert "Error" not in agent.received.types
        assert getattr(here, other).connections
        hold_text_turn(agent, "are you still there")


def test_a_call_of_the_component_outlives_its_worker_at_both_backends(tmp_path):
    with place(tmp_path) as here, begun(here, OF_COMPONENT) as agent:
        here.kill()
        hold_text_turn(agent, "I like tea.")
        here.openai.close()
        hold_text_turn(agent, "And ships.")
        here.kill()
        assert_remembered(agent, "openai", "My name is Ada.", "I like tea.", "And ships.")
        assert "Error" not in agent.received.types


def questioners(process, without):
    """Return callers on the routes of both backends. Deepgram gives a cut answer again from its beginning."""
    made = []
    for number in range(CALLERS):
        path, speaks = PATHS[number % 2], number % 4 > 1
        is_at_deepgram = without == "openai" or (without is None and path == OF_DEEPGRAM)
        kind = RelayQuestioner if is_at_deepgram else Questioner
        made.append(kind(number, process.address, path=path, speaks=speaks))
    return made


@pytest.mark.parametrize("without", [None, further("openai"), further("deepgram")])
def test_no_question_is_lost_and_none_is_answered_twice_when_workers_die(without, tmp_path):
    with place(tmp_path, pace=4, without=without) as here:
        callers = questioners(here.process, without)
        asyncio.run(ask_under_deaths(here.process, callers))
        assert [it for caller in callers for it in caller.faults()] == []
        assert not any(caller.errors for caller in callers)
        assert any("SESSION_RECOVERED" in caller.warnings for caller in callers)


@pytest.mark.parametrize("backend", ["deepgram", further("openai")])
def test_a_telephone_call_outlives_its_worker_at_either_backend(backend, tmp_path):
    without = "openai" if backend == "deepgram" else None
    with place(tmp_path, pace=8, without=without) as here, dialled(here.address) as connection:
        phone = Telephone(connection)
        phone.begin(agent="silent")

        def kill():
            os.kill(busy_worker_of(here.address), signal.SIGKILL)
            phone.run(lambda: "was taken over from a dead worker" in here.child.output)

        whole_s = hear_answer(phone)
        cut_s = hear_answer(phone, meanwhile=kill)
        if backend == "openai":
            assert abs(cut_s - whole_s) < ANSWER_DIFFERENCE_S
        else:
            # Deepgram gives the answer again from its beginning.
            assert cut_s >= whole_s
            assert here.deepgram.connections
        assert not phone.is_closed
