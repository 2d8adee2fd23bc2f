"""A client whose call was lost comes back with its token, and the conversation goes on."""

import contextlib

import orjson
import pytest
from websockets.sync.client import connect

from router.config.guard import Guard, Rule
from router.config.model import Limits
from router.resume.resumption import Resumption
from router.secrets import Secret
from router.simulator import SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients.returning import apply, ask, call, cut
from tests.support.processes.redis_server import redis_server
from tests.support.processes.serving import WAIT_S, closing, receive_until, say, serving, simulating

KEY = Secret("sk-of-both-machines")
QUESTION = "What is my name?"


def tell_name(url):
    """Hold a call that gets lost. Return the token of its session."""
    with call(url) as (client, welcome):
        apply(client)
        ask(client, "My name is Ada.")
        cut(client)
    return welcome["resume_token"]


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_conversation_goes_on_and_settings_that_are_sent_again_are_answered(profile):
    with simulating() as simulator, serving(profile, upstream=simulator.url) as (_, url):
        token = tell_name(url)
        with call(url, token) as (client, welcome):
            assert welcome["resumed"] is True
            assert welcome["resume_token"] != token
            assert [it["type"] for it in apply(client)] == ["SettingsApplied"]
            assert "Ada" in ask(client, QUESTION)
        with call(url, token) as (client, welcome):
            assert "resumed" not in welcome, "a token serves once"
            apply(client)
            assert "Ada" not in ask(client, QUESTION)


def test_another_machine_continues_the_conversation_through_redis():
    with redis_server() as redis, simulating() as simulator:
        given = {"upstream": simulator.url, "limits": Limits(store=redis.url), "openai_api_key": KEY}
        with serving("openai", **given) as (_one, url), serving("openai", **given) as (_, other_url):
            token = tell_name(url)
            with call(other_url, token) as (client, welcome):
                assert welcome["resumed"] is True
                apply(client)
                assert "Ada" in ask(client, QUESTION)


def test_a_client_whose_call_a_drain_closed_comes_back_to_another_machine():
    with redis_server() as redis, simulating() as simulator:
        given = {"upstream": simulator.url, "limits": Limits(store=redis.url), "openai_api_key": KEY}
        with serving("openai", **given) as (one, url), serving("openai", **given) as (_, other_url):
            with call(url) as (client, welcome):
                apply(client)
                ask(client, "My name is Ada.")
                one.close(drain_s=5.0)
                assert closing(client) == 1012
            with call(other_url, welcome["resume_token"]) as (client, again):
                assert again["resumed"] is True
                apply(client)
                assert "Ada" in ask(client, QUESTION)


def test_a_call_that_its_client_ended_is_not_kept():
    with simulating() as simulator, serving("openai", upstream=simulator.url) as (_, url):
        with call(url) as (client, welcome):
            apply(client)
            ask(client, "My name is Ada.")
        with call(url, welcome["resume_token"]) as (client, again):
            assert "resumed" not in again


def test_a_call_whose_client_asked_for_no_token_is_not_kept(monkeypatch):
    kept = []
    monkeypatch.setattr(Resumption, "keep", lambda _self, session_id, _data: kept.append(session_id))
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(simulating())
        router, url = stack.enter_context(serving("openai", upstream=simulator.url))
        with connect(url) as client:
            session_id = orjson.loads(client.recv(timeout=WAIT_S))["request_id"]
            apply(client)
            ask(client, "My name is Ada.")
            other, welcome = stack.enter_context(call(url))
            apply(other)
            router.close(drain_s=0.0)
    assert session_id not in kept
    assert kept == [welcome["request_id"]]


def test_without_the_setting_there_is_no_token():
    off = Limits(resume_s=0.0)
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(simulating())
        _, url = stack.enter_context(serving("openai", upstream=simulator.url, limits=off))
        _, welcome = stack.enter_context(call(url))
        assert set(welcome) == {"type", "request_id"}


def event_of(client, kind):
    """Return the next event of a type, over OpenAI's protocol."""
    while (event := orjson.loads(client.recv(timeout=WAIT_S)))["type"] != kind:
        pass
    return event


def begin_openai(client):
    """Return the first event of a call of OpenAI's protocol."""
    event = orjson.loads(client.recv(timeout=WAIT_S))
    assert event["type"] == "session.created"
    return event


def configure_openai(client):
    say(client, type="session.update", session={"type": "realtime", "output_modalities": ["text"]})
    event_of(client, "session.updated")


def ask_openai(client, text):
    """Hold a turn in text over OpenAI's protocol, and return the agent's words."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    say(client, type="conversation.item.create", item=item)
    say(client, type="response.create")
    return event_of(client, "response.done")["response"]["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("guard", [Guard(), Guard(rules=(Rule(expression="secret"),))], ids=["no guard", "a guard"])
def test_a_client_of_openai_s_protocol_comes_back_to_its_conversation_and_configuration(guard):
    with simulating() as simulator, serving("realtime", upstream=simulator.url, guard=guard) as (_, url):
        with connect(f"{url}?resume=new") as client:
            token = begin_openai(client)["resume_token"]
            configure_openai(client)
            ask_openai(client, "My name is Ada.")
            cut(client)
        with connect(f"{url}?resume={token}") as client:
            created = begin_openai(client)
            assert created["resumed"] is True
            assert created["resume_token"] != token
            assert created["session"]["output_modalities"] == ["text"]
            assert "Ada" in ask_openai(client, QUESTION)
        with connect(f"{url}?resume={token}") as client:
            assert "resumed" not in begin_openai(client)
            configure_openai(client)
            assert "Ada" not in ask_openai(client, QUESTION)
        with connect(url) as client:
            assert "resume_token" not in begin_openai(client)


def test_an_answer_of_openai_s_protocol_that_was_cut_off_continues_for_the_client_that_is_back():
    with simulating(pace=1) as simulator, serving("realtime", upstream=simulator.url) as (_, url):
        with connect(f"{url}?resume=new") as client:
            token = begin_openai(client)["resume_token"]
            configure_openai(client)
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "I like tea. " * 9}]}
            say(client, type="conversation.item.create", item=item)
            say(client, type="response.create")
            event_of(client, "response.output_text.delta")
            cut(client)
        with connect(f"{url}?resume={token}") as client:
            assert begin_openai(client)["resumed"] is True
            ended = [event_of(client, "response.done")["response"]["status"] for _ in range(2)]
            assert ended == ["incomplete", "completed"]


def test_a_guarded_call_of_deepgram_s_protocol_comes_back_and_stays_guarded():
    guard = Guard(rules=(Rule(expression="secret"),))
    with (
        simulating() as simulator,
        serving("openai", upstream=simulator.url, guard=guard) as (_, url),
        call(url, tell_name(url)) as (client, welcome),
    ):
        assert welcome["resumed"] is True
        assert "Ada" in ask(client, QUESTION)
        say(client, type="InjectUserMessage", content="a secret")
        assert receive_until(client, "Warning")[-1]["code"] == "GUARD_BLOCKED"


def test_a_client_of_deepgram_s_relay_comes_back_to_its_conversation():
    with DeepgramSimulator(SimulatorConfig(pace=20)) as backend:
        given = {"deepgram_api_key": Secret("dg-0123456789"), "deepgram_agent_url": backend.url}
        with serving("deepgram", **given) as (_, url):
            token = tell_name(url)
            with call(url, token) as (client, welcome):
                assert welcome["resumed"] is True
                assert welcome["resume_token"] != token
                assert [it["type"] for it in apply(client)] == ["SettingsApplied"]
                ask(client, QUESTION)
            (settings,) = backend.connections[-1].of_type("Settings")
            said = [it["content"] for it in settings["agent"]["context"]["messages"] if it.get("role") == "user"]
            assert said == ["My name is Ada."]
            with call(url, token) as (client, welcome):
                assert "resumed" not in welcome
