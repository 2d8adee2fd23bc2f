"""Upstreams whose sessions are short: the next one takes over between turns, and nobody notices."""

import contextlib
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.sync.client import connect

from router.config import Deadlines
from router.simulator import Simulator, SimulatorConfig
from serving import apply_settings, receive_until, say, serving

ROLLOVERS = 100
SESSIONS = 20
LIFE_S = 3.0
PAUSE_S = 0.15
DEADLINES = Deadlines(rollover_gap_s=0.2)


def talk(url, turns):
    """Hold a conversation of one text turn after another, until told to stop; what went wrong."""
    wrong = []
    with connect(url) as client:
        apply_settings(client)
        for n in itertools.takewhile(lambda _: not turns.is_over(), itertools.count()):
            said = f"word{n}"
            say(client, type="InjectUserMessage", content=said)
            frames = [frame for frame in receive_until(client, "AgentAudioDone") if isinstance(frame, dict)]
            texts = [frame["content"] for frame in frames if frame["type"] == "ConversationText"]
            if len(texts) != 2 or said not in texts[1] or any(frame["type"] == "Warning" for frame in frames):
                wrong.append(frames)
            wrong += between_turns(client)
        say(client, type="InjectUserMessage", content="What did I say first?")
        last = [frame for frame in receive_until(client, "AgentAudioDone") if isinstance(frame, dict)]
        if "word0" not in last[-2]["content"]:
            wrong.append(last)
    return wrong


def between_turns(client):
    """Listen for a while: nothing has to be said between turns."""
    with contextlib.suppress(TimeoutError):
        return [client.recv(timeout=PAUSE_S)]
    return []


class Turns:
    """Whether there have been rollovers enough: every session beyond the first of each client is one."""

    def __init__(self, simulator):
        self._simulator = simulator

    def is_over(self):
        return len(self._simulator.connections) - SESSIONS >= ROLLOVERS


@pytest.fixture
def simulator():
    config = SimulatorConfig(pace=0, session_seconds=LIFE_S, record_connections=10 * ROLLOVERS, record_events=10)
    with Simulator(config) as simulator:
        yield simulator


def test_over_a_hundred_rollovers_no_turn_is_lost_and_nothing_is_forgotten(simulator):
    with serving("converse", upstream=simulator.url, deadlines=DEADLINES) as (router, url):
        with ThreadPoolExecutor(SESSIONS) as pool:
            talks = [pool.submit(talk, url, Turns(simulator)) for _ in range(SESSIONS)]
            wrong = [frames for done in talks for frames in done.result(60)]
        assert wrong == []
        assert len(simulator.connections) >= SESSIONS + ROLLOVERS
        # None of them was closed by the simulator for its age: each was left in time.
        assert {record.closed.code for record in simulator.connections if record.closed} == {1000}
        assert all(info.restarts == 0 for info in router.sessions())


def test_a_session_that_is_silent_rolls_over_too(simulator):
    with serving("openai", upstream=simulator.url, deadlines=DEADLINES) as (_, url), contextlib.ExitStack() as stack:
        client = stack.enter_context(connect(url))
        apply_settings(client)
        say(client, type="InjectUserMessage", content="My name is Ada.")
        receive_until(client, "AgentDone")
        simulator.wait_for(lambda records: len(records) >= 2 and records[0].closed, timeout_s=10)
        say(client, type="InjectUserMessage", content="What is my name?")
        frames = [frame for frame in receive_until(client, "AgentDone") if isinstance(frame, dict)]
        assert "Ada" in frames[-3]["content"]
