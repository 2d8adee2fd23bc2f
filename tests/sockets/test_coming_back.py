"""A client whose call was lost comes back with its token, and the conversation goes on."""

import contextlib

import orjson
import pytest
from websockets.sync.client import connect

from router.config.model import Limits
from router.resume.resumption import Resumption
from router.secrets import Secret
from tests.support.clients.returning import apply, ask, call, cut
from tests.support.processes.redis_server import redis_server
from tests.support.processes.serving import WAIT_S, closing, serving, simulating

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
