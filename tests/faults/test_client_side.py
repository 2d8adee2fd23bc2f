"""The client's side: one that comes early, one that vanishes."""

import json
import threading
import time

import pytest

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.talk import settings
from tests.support.faults.world import DEADLINES, world

pytestmark = [pytest.mark.slow, pytest.mark.quiet]

WAIT_S = 5.0
DIAL_S = 1.0
SOON_S = 0.5
"""Far less than the dial, and far more than a busy machine needs for a message."""

SLOW = SimulatorConfig(
    pace=0, faults=(Fault(point=FaultPoint.CONNECT, action=FaultAction.DELAY, delay_s=DIAL_S, times=0),)
)
PATIENT = {"session_created_s": 5.0}


def patient():
    return type(DEADLINES)(**{name: getattr(DEADLINES, name) for name in DEADLINES.__struct_fields__} | PATIENT)


def applied_after_s(client):
    asked_s = time.monotonic()
    client.send_text(json.dumps(settings("audio")))
    client.wait_for("SettingsApplied", timeout_s=WAIT_S)
    return time.monotonic() - asked_s


def test_a_client_that_takes_its_time_finds_the_upstream_dialled():
    with world(SLOW, deadlines=patient()) as here, WireClient(here.url("converse")) as client:
        client.hear(DIAL_S + 0.2)
        assert applied_after_s(client) < SOON_S


def test_a_client_that_does_not_waits_for_one_dial_and_no_longer():
    with world(SLOW, deadlines=patient()) as here, WireClient(here.url("converse")) as client:
        assert applied_after_s(client) < DIAL_S + SOON_S
        assert here.routes[0].dials == 1


@pytest.mark.parametrize("way", ["reset", "half-open"])
def test_a_client_that_vanishes_in_an_answer_frees_everything_and_the_answer_is_cancelled(way):
    with world(SimulatorConfig(pace=1)) as here, WireClient(here.url("converse")) as client:
        client.send_text(json.dumps(settings("audio")))
        client.wait_for("SettingsApplied", timeout_s=WAIT_S)
        client.say("InjectUserMessage", content="Tell me about the sea, and take your time with it.")
        client.wait_until(lambda frame: isinstance(frame, bytes), "audio", WAIT_S)
        if way == "reset":
            client.reset()
        # Or it reads no more: no ping is answered from here on.
        record = here.simulator.wait_for(lambda records: records[-1].closed and records[-1], timeout_s=WAIT_S)
        assert record.types()[-1] == "response.cancel"
        assert record.closed.code == 1000
        assert until(lambda: here.router.sessions() == [])


def until(holds):
    pause = threading.Event()
    for _ in range(int(WAIT_S / 0.02)):
        if holds():
            return True
        pause.wait(0.02)
    return False
