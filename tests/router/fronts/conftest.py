"""Recordings of the relays of these tests: the replay of each one is exact."""

import pytest

from router.fronts.deepgram_agent.machine import DeepgramRelay
from router.fronts.realtime.machine import RealtimeRelay
from router.fronts.twilio.machine import TelephoneCall
from router.session.machine import Session
from router.session.profile import CONVERSE
from tests.support.machine.recorded import recorded_tests


def _of_call(front):
    def machine_of(machine, call):
        fields = {"front": front, "config": call.config, "query": dict(call.query), "agents": dict(call.agents.by_id)}
        return machine, call.session, fields

    return machine_of


def _of_options(machine, options, session=None):
    return machine, session or Session("session", CONVERSE, options), {"front": "deepgram"}


BEGINS = {RealtimeRelay: _of_call("realtime"), TelephoneCall: _of_call("twilio"), DeepgramRelay: _of_options}


@pytest.fixture(autouse=True)
def recordings_are_exact(request):
    """Record the machines of a test, and replay their inputs when it has passed."""
    with recorded_tests(request, BEGINS):
        yield
