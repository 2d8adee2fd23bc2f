"""A late process or a stalled network in the middle of speech leaves it one turn, which is answered once.

The router is a process of its own, which a signal stops as a busy machine would. The caller speaks in real time,
because the router's deadlines run in it.
"""

import contextlib
import os
import signal
import sys
import time

import psutil
import pytest

from tests.support.clients.neighbour import CONVERSE, SETTINGS, WAIT_S
from tests.support.clients.wire_client import WireClient
from tests.support.machine.simulation import SILENCE, TONE
from tests.support.processes.children import RUN_PY, child
from tests.support.processes.further import further
from tests.support.processes.host_apps import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.quiet]

FRAME_S = 0.1
SPOKEN = 30
"""Frames of speech: 3 s."""

SILENT = 12
LATE_FROM = 12
"""The frame before which the process or the network stops, in the middle of the speech."""

LATE_S = 0.8
REST_S = 4.0
"""The time within which a turn that was cut in two would get its second answer."""


@contextlib.contextmanager
def a_router():
    """Start a router and a simulator, each in a process of its own."""
    simulator = (sys.executable, "-m", "router.simulator", "--port", "0")
    with child(*simulator, env={"PYTHONPATH": str(ROOT)}) as upstream:
        url = upstream.wait_for(r"(ws://127\.[^ ]+)")[1]
        with child(sys.executable, RUN_PY, "--port", "0", "--upstream", url) as running:
            yield running


@contextlib.contextmanager
def stopped(process):
    """Stop a router and its workers for the length of the block."""
    first = psutil.Process(process.pid)
    pids = [it.pid for it in (first, *first.children(recursive=True))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def call(process, mode):
    """Connect a caller, and have its Settings applied."""
    address = process.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1]
    client = WireClient(f"ws://{address}{CONVERSE}")
    client.say("Settings", **{**SETTINGS, "agent": {**SETTINGS["agent"], "turn_detection": mode}})
    client.wait_for("SettingsApplied", timeout_s=WAIT_S)
    return client


def until(client, began_s, frame):
    """Receive until a frame is due."""
    client.hear(max(0.001, began_s + frame * FRAME_S - time.monotonic()))


def speak(client, silent, *, process=None, stall_s=0.0):
    """Speak in real time; the process is late once, or the network stalls and then delivers everything."""
    began_s = time.monotonic()
    frames = [TONE] * SPOKEN + [SILENCE] * silent
    with contextlib.ExitStack() as late:
        for at, frame in enumerate(frames):
            if at == LATE_FROM and process is not None:
                late.enter_context(stopped(process))
            if at == LATE_FROM + round(LATE_S / FRAME_S):
                late.close()
            if at == LATE_FROM and stall_s:
                client.hear(stall_s)
            client.send_audio(frame)
            until(client, began_s, at + 1)
    client.hear(REST_S)
    if not turns(client)[1]:
        client.wait_for("AgentAudioDone", timeout_s=WAIT_S)


def turns(client):
    """Return the number of turns: the user's in words, and the agent's by their ends."""
    messages = [frame for frame in client.frames if isinstance(frame, dict)]
    said = [it["content"] for it in messages if it["type"] == "ConversationText" and it["role"] == "user"]
    return len(said), sum(it["type"] == "AgentAudioDone" for it in messages)


@pytest.mark.parametrize(("mode", "silent"), [("server_vad", SILENT), further("manual", 0)])
def test_a_process_that_is_late_once_cuts_no_turn_in_two(mode, silent):
    with a_router() as process, call(process, mode) as client:
        speak(client, silent, process=process)
        assert turns(client) == (1, 1)


@pytest.mark.parametrize("stall_s", [further(0.7), 2.0])
def test_a_network_that_stalls_once_cuts_no_turn_in_two(stall_s):
    with a_router() as process, call(process, "server_vad") as client:
        speak(client, SILENT, stall_s=stall_s)
        assert turns(client) == (1, 1)


@pytest.mark.exhaustive
def test_speech_without_any_of_that_is_one_turn():
    with a_router() as process, call(process, "server_vad") as client:
        speak(client, SILENT)
        assert turns(client) == (1, 1)
