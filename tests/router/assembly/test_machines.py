"""The machine of a session, and what stands around it."""

import pytest

from actors import messages
from router import Request, RouterConfig
from router.assembly.factory import SessionFactory
from router.hooks import Hooks
from router.tools.registry import FunctionRegistry


@pytest.mark.parametrize("profile", ["openai", "converse", "deepgram", "twilio"])
def test_the_wire_view_records_the_machine_that_speaks_with_the_upstream(profile):
    factory = SessionFactory(RouterConfig(wire_view=True), FunctionRegistry(), Hooks())
    view = factory.new_wire_view()
    request = Request(path="/any", profile=profile, query={}, headers={})
    spec = factory.of("s", request, None, perform=print, on_end=print)
    list(spec.machine.handle(messages.ClientOpened(), 0.0))
    list(spec.machine.handle(messages.ClientTextReceived('{"type":"KeepAlive"}'), 0.0))
    rows = view.rows("s", 0).rows
    assert rows[0].event == "the client is connected"
    assert view.sessions()[0].profile == profile
    list(spec.machine.handle(messages.EndRequested(), 1.0))
    assert not view.sessions()[0].is_live
