"""Hundreds of sessions, random faults, delays and crashes: each client gets its answers, or an Error and a close frame.

`CHAOS_S` sets how long, `CHAOS_SEED` repeats a run: the seed is printed with every failure.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pykka
import pytest

from actors.client import ClientActor
from actors.translator import TranslatorActor
from actors.upstream import UpstreamActor
from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.clients.wire_client import ClosedError, WireClient
from tests.support.faults.talk import settings
from tests.support.faults.world import world

pytestmark = [pytest.mark.slow, pytest.mark.long]

SESSIONS = 300
CHAOS_S = float(os.environ.get("CHAOS_S", "3"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
DEADLINE_S = 40.0
"""Within which every question has its answer, or its Error and close frame. The machine is busy meanwhile."""

POINTS = [point for point in FaultPoint if point is not FaultPoint.HANDSHAKE]
ACTIONS = (FaultAction.CLOSE, FaultAction.RESET, FaultAction.HANG, FaultAction.MALFORMED, FaultAction.DELAY)
CODES = (1000, 1001, 1011, 1012, 1013)


def random_fault(dice):
    """A fault that its point can have."""
    while True:
        try:
            return Fault(
                point=dice.choice(POINTS),
                action=dice.choice(ACTIONS),
                code=dice.choice(CODES),
                delay_s=dice.choice((0.0, 0.05, 0.3)),
            )
        except ValueError:
            continue


def crash_somebody(dice):
    """Have a random actor of a random session fail at its next message."""
    refs = pykka.ActorRegistry.get_by_class(dice.choice((ClientActor, TranslatorActor, UpstreamActor)))
    if refs:
        try:
            dice.choice(refs).tell(pykka.messages.ProxyCall(attr_path=("no_such_method",), args=(), kwargs={}))
        except pykka.ActorDeadError:
            return


class Chaos(threading.Thread):
    """What goes wrong, one thing after another."""

    def __init__(self, here, dice, is_over):
        super().__init__(name="chaos")
        self._here, self._dice, self._is_over = here, dice, is_over

    def run(self):
        while not self._is_over.wait(0.02):
            self._here.simulator.add_fault(random_fault(self._dice))
            if self._dice.random() < 0.2:
                crash_somebody(self._dice)
        self._here.simulator.clear_faults()


def converse(here, number, until_s):
    """Ask one question after another until the time is over; what was wrong, and how much of what was received."""
    wrong, asked = [], 0
    kinds = Counter()
    profile = ("openai", "converse")[number % 2]
    with WireClient(here.url(profile), timeout_s=DEADLINE_S) as client:
        try:
            client.send_text(json.dumps(settings("audio" if number % 3 else "text")))
            client.wait_for("SettingsApplied", timeout_s=DEADLINE_S)
            while time.monotonic() < until_s or not asked:
                asked += 1
                question = f"word{number}x{asked}"
                client.say("InjectUserMessage", content=question)
                frames = client.wait_for("AgentAudioDone", timeout_s=DEADLINE_S)
                wrong += judge(frames, question)
        except ClosedError as closed:
            wrong += judge_end(client, closed)
        except AssertionError as stuck:
            wrong.append(f"stuck: {stuck}")
        if client.after_close:
            wrong.append("something came behind the close frame")
        kinds.update(frame["type"] for frame in client.frames if isinstance(frame, dict))
    return [f"session {number}: {fault}" for fault in wrong], kinds


def judge(frames, question):
    """What is wrong with the answer to a question: it is about the question, whole, and said once."""
    texts = [frame for frame in frames if isinstance(frame, dict) and frame["type"] == "ConversationText"]
    said = [text["content"] for text in texts if text["role"] == "assistant"]
    answer = " ".join(said)
    failed = [frame for frame in frames if isinstance(frame, dict) and frame["type"] == "Error"]
    wrong = [] if answer.count(question) == 1 or failed else [f"{question} was answered {said}"]
    return wrong + [f"half a sample in {question}" for frame in frames if isinstance(frame, bytes) and len(frame) % 2]


def judge_end(client, closed):
    """What is wrong with an end: it is announced by an Error and has a close frame."""
    last = next((frame for frame in reversed(client.frames) if isinstance(frame, dict)), {})
    if closed.code in (1000, 1011) and last.get("type") == "Error":
        return []
    return [f"ended with {closed.code} behind {last}"]


def test_whatever_goes_wrong_no_client_is_stuck(capsys):
    dice = random.Random(SEED)  # noqa: S311 - a run can be repeated
    is_over = threading.Event()
    simulator = SimulatorConfig(pace=0, record_connections=0, record_events=0, ms_per_character=5)
    with world(simulator, restarts=5) as here:
        until_s = time.monotonic() + CHAOS_S
        chaos = Chaos(here, dice, is_over)
        chaos.start()
        try:
            with ThreadPoolExecutor(SESSIONS) as pool:
                talks = [*pool.map(lambda number: converse(here, number, until_s), range(SESSIONS))]
        finally:
            is_over.set()
            chaos.join()
        wrong = [fault for faults, _ in talks for fault in faults]
        kinds = sum((seen for _, seen in talks), Counter())
        with capsys.disabled():
            print(f"\nCHAOS_SEED={SEED}: {CHAOS_S:g} s, {dict(kinds)}")
        assert kinds["Warning"] > SESSIONS / 10, "hardly anything went wrong"
        if wrong:
            pytest.fail("\n".join([f"CHAOS_SEED={SEED}", *wrong[:30], f"{len(wrong)} in all"]))
