"""The guard around relays: its place, and its recordings. The tests of each wire are beside its relay."""

import json

import pytest

from actors import messages as engine
from router import Request, RouterConfig, Secret
from router.assembly.factory import SessionFactory
from router.config.guard import Guard, Rule
from router.fronts.agents import checked
from router.fronts.front import Call, guarded
from router.fronts.table import FRONTS
from router.guard.relay import GuardedRelay
from router.guard.rules import CheckText, judge
from router.hooks import Hooks
from router.recording.header import guard_written
from router.session.machine import Session
from router.tools.registry import FunctionRegistry
from tests.support.machine.options import session_options
from tests.support.machine.recorded import Recorded

RELAYS = sorted(name for name, front in FRONTS.items() if front.is_relay)
GUARD = Guard(rules=(Rule(expression="secret"),))
FORBIDDEN = "the secret word. "


@pytest.mark.parametrize("name", RELAYS)
def test_every_relay_has_the_guard_around_it(name):
    config = RouterConfig(upstream="ws://h", deepgram_api_key=Secret("k"), guard=GUARD)
    factory = SessionFactory(config, FunctionRegistry(), Hooks())
    request = Request(path="/", profile=name, query={}, headers={})
    spec = factory.of("s", request, None, perform=print, on_end=print)
    assert isinstance(spec.machine, GuardedRelay)


@pytest.mark.parametrize("has_content", [True, False])
def test_the_replay_of_a_guarded_relay_is_exact(has_content):
    front, session = FRONTS["realtime"], Session("session", FRONTS["realtime"].profile, session_options())
    call = Call(session=session, machine=session, agents=checked({}), config=RouterConfig())
    machine = guarded(front, front.adapt(call), GUARD, "session")
    recorded = Recorded(has_content=has_content, front="realtime", guard=guard_written(GUARD))
    handle = recorded.wrapped(session, machine.handle)

    def feed(message):
        commands = handle(message, 0.0)
        for it in commands:
            if isinstance(it, engine.StartWork) and isinstance(it.work, CheckText):
                feed(engine.WorkDone(it.key, judge(GUARD.rules, it.work)))
        return commands

    def server(kind, **fields):
        return feed(engine.UpstreamTextReceived(1, json.dumps({"type": kind, "event_id": "e", **fields})))

    place = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
    feed(engine.ClientOpened())
    feed(engine.UpstreamOpened(1, 0, 0.0))
    server("session.created", session={"id": "sess_1", "model": "gpt-realtime"})
    server("response.created", response={"id": "r1"})
    for text in ("Hello there. ", FORBIDDEN, "More. "):
        server("response.output_text.delta", **place, delta=text)
    server("response.output_text.done", **place, text=f"Hello there. {FORBIDDEN}More. ")
    server("response.done", response={"id": "r1", "status": "cancelled", "output": []})
    assert recorded.verified().difference is None
