"""The guard around relays: its place, and its recordings. The tests of each wire are beside its relay."""

import json

import pytest
from hypothesis import given, settings, strategies

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
from tests.router.fronts.realtime.test_simulation import (
    LONG_S,
    RACES,
    SPOKEN,
    STEPS,
    WAYS,
    converse,
    judge_deaths_within_an_answer,
)
from tests.support.machine.guarded_world import GuardedWorld
from tests.support.machine.options import session_options
from tests.support.machine.recorded import Recorded
from tests.support.processes.further import examples

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


@settings(max_examples=examples(25), deadline=None)
@given(STEPS, WAYS, strategies.sampled_from([0.0, 0.05, 0.4]))
def test_a_guarded_conversation_comes_to_rest_whatever_process_carries_it(steps, way, check_s):
    it = converse(GuardedWorld(check_s=check_s, **way), steps)
    assert not it.closed
    it.client.judge_rest()
    assert set(it.client.errors) <= RACES, it.client.of("error")
    it.say("My name is Grace.")
    before = len(it.client.responses)
    it.run(LONG_S)
    assert list(it.client.responses.values())[before:] == ["completed"]
    assert it.guarded.can_move


@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.parametrize("check_s", [0.05, 0.4])
def test_a_guarded_answer_whose_process_dies_continues_behind_the_words_that_the_client_has(modality, check_s):
    text = f"{SPOKEN} I have three cats."
    judge_deaths_within_an_answer(lambda: GuardedWorld(check_s=check_s, pace=20.0), modality, text, 79)


@pytest.mark.parametrize("action", ["block", "replace"])
def test_no_process_sends_a_word_that_the_guard_withholds(action):
    for step in range(1, 60):
        it = GuardedWorld(Rule(expression="tea", action=action, on=("agent",)), pace=20.0)
        it.configure()
        it.say(SPOKEN)
        it.run(step * 0.03)
        it.die()
        it.run(LONG_S)
        for added in it.client.of("response.output_item.added"):
            it.send("conversation.item.retrieve", item_id=added["item"]["id"])
        it.run(LONG_S)
        assert it.client.of("conversation.item.retrieved")
        of_agent = [event for event in it.client.events if event.get("item", {}).get("role") != "user"]
        assert "tea" not in str(of_agent), of_agent
        assert it.guarded.hits
