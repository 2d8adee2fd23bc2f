"""Recordings of the calls of these tests: the replay of each one is exact."""

import pytest

from router.fronts.as_openai.machine import TwoBackendRelay
from router.fronts.realtime.machine import RealtimeRelay
from tests.support.machine.recorded import recorded_tests


@pytest.fixture(autouse=True)
def recordings_are_exact(request, monkeypatch):
    """Record the machines of a test, and replay their inputs when it has passed."""
    calls = {}

    def of_relay(machine, relay, position, _as_sent):
        call = calls[relay]
        plan = {"deepgram_position": position}
        fields = {"front": "realtime", "failover": plan, "config": call.config, "query": dict(call.query)}
        return machine, call.session, fields

    begin = RealtimeRelay.__init__

    def begin_relay(relay, call):
        begin(relay, call)
        calls[relay] = call

    monkeypatch.setattr(RealtimeRelay, "__init__", begin_relay)
    with recorded_tests(request, {TwoBackendRelay: of_relay}):
        yield
