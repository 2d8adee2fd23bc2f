"""Functions of every kind, over real sockets: the simulator calls them, and speaks of their results."""

import re
import threading

import orjson
import pytest
from websockets.sync.client import connect

from router.access.request import Principal
from router.config.model import Deadlines, Limits, RouterConfig
from router.core import Router
from router.simulator import Fault, FaultAction, FaultPoint
from tests.support.machine.playbook import settings
from tests.support.processes.http_endpoint import Endpoint
from tests.support.processes.serving import apply_settings, receive_until, say, serving, simulating

pytestmark = pytest.mark.slow

WAIT_S = 5.0
LOUD = b"\x00\x40\x00\xc0" * 12_000
"""A second of sound, as linear16 at 24 kHz."""

ADA = Principal("ada")
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "Tell the weather.", "parameters": PARAMETERS}


@pytest.fixture
def simulator():
    with simulating(pace=0) as simulator:
        yield simulator


@pytest.fixture
def endpoint():
    with Endpoint() as endpoint:
        yield endpoint


def reached(endpoint, **config):
    """Return the configuration with which this endpoint may be called."""
    return {"tool_hosts": (endpoint.origin,), "tool_networks": ("127.0.0.1/32",), **config}


def at(endpoint, **fields):
    return {**WEATHER, "endpoint": {"url": f"{endpoint.origin}/weather?key=secret", **fields}}


def ask(client, content="what is the weather"):
    say(client, type="InjectUserMessage", content=content)


def said(frames):
    return [it["content"] for it in frames if isinstance(it, dict) and it["type"] == "ConversationText"]


def of_type(frames, kind):
    return [it for it in frames if isinstance(it, dict) and it["type"] == kind]


def test_an_endpoint_is_called_and_the_agent_speaks_of_its_response(simulator, endpoint, caplog):
    caplog.set_level("DEBUG")
    endpoint.answers("sunny, 21 degrees")
    with serving("converse", upstream=simulator.url, **reached(endpoint)) as (_, url), connect(url) as client:
        apply_settings(client, settings(think={"functions": [at(endpoint, headers={"X-Key": "secret"})]}))
        ask(client)
        frames = receive_until(client, "AgentAudioDone")
    (request,) = of_type(frames, "FunctionCallRequest")
    (function,) = request["functions"]
    assert (function["name"], function["client_side"]) == ("weather", False)
    (echo,) = of_type(frames, "FunctionCallResponse")
    assert (echo["id"], echo["content"]) == (function["id"], "sunny, 21 degrees")
    assert "sunny, 21 degrees" in " ".join(said(frames))
    ((method, path, headers, body),) = endpoint.requests
    assert (method, path, headers["X-Key"]) == ("POST", "/weather?key=secret", "secret")
    assert orjson.loads(body) == orjson.loads(function["arguments"])
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets")]
    assert not [line for line in ours if "secret" in line], "a header or a query is logged"


def test_an_endpoint_that_fails_is_an_error_for_the_model_and_a_warning_for_the_client(simulator, endpoint):
    endpoint.answers("a stack trace", status=500)
    with serving("converse", upstream=simulator.url, **reached(endpoint)) as (_, url), connect(url) as client:
        apply_settings(client, settings(think={"functions": [at(endpoint)]}))
        ask(client)
        frames = receive_until(client, "AgentAudioDone")
    (warning,) = of_type(frames, "Warning")
    assert warning["code"] == "FUNCTION_CALL_FAILED"
    assert warning["description"].endswith("(weather) failed: it responded with HTTP 500")
    assert "weather failed: it responded with HTTP 500" in " ".join(said(frames))


def test_an_endpoint_that_hangs_does_so_for_its_call_alone(simulator, endpoint):
    endpoint.hold()
    config = reached(endpoint, deadlines=Deadlines(tool_call_s=0.3))
    with serving("converse", upstream=simulator.url, **config) as (_, url), connect(url) as client:
        apply_settings(client, settings(think={"functions": [at(endpoint)]}))
        ask(client)
        frames = receive_until(client, "AgentAudioDone")
    # The call's own limit and the endpoint's run out together, and either may be the first to be seen.
    assert re.search("weather (timed out after 0.3 s|failed: it did not respond in time)", " ".join(said(frames)))


def test_without_a_list_no_endpoint_is_called(simulator, endpoint):
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        frames = apply_settings(client, settings(think={"functions": [at(endpoint)]}))
        assert [it["code"] for it in of_type(frames, "Warning")] == ["FUNCTION_ENDPOINT_NOT_SUPPORTED"]
        ask(client)
        assert of_type(receive_until(client, "AgentAudioDone"), "FunctionCallRequest") == []
    assert endpoint.requests == []


def test_a_host_that_is_allowed_at_an_address_that_is_not_public_is_not_called(simulator, endpoint):
    config = {"tool_hosts": (endpoint.origin,)}
    with serving("converse", upstream=simulator.url, **config) as (_, url), connect(url) as client:
        apply_settings(client, settings(think={"functions": [at(endpoint)]}))
        ask(client)
        frames = receive_until(client, "AgentAudioDone")
    assert "its address is not public" in of_type(frames, "Warning")[0]["description"]
    assert endpoint.requests == []


# Python functions.


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_python_function_is_offered_to_every_session_and_answers(simulator, profile):
    calls = []
    with serving(profile, upstream=simulator.url) as (router, url):

        @router.tool(WEATHER)
        def weather(arguments, call):
            calls.append((arguments, call, threading.current_thread().name))
            return {"sky": "blue"}

        for _ in range(2):
            with connect(url) as client:
                apply_settings(client)
                ask(client)
                frames = receive_until(client, "AgentAudioDone")
                assert of_type(frames, "FunctionCallResponse")[0]["content"] == '{"sky":"blue"}'
        assert weather({}, calls[0][1]) == {"sky": "blue"}
    assert [set(arguments) for arguments, _, _ in calls[:2]] == [set(calls[0][0])] * 2
    assert len({call.session_id for _, call, _ in calls[:2]}) == 2
    assert {call.name for _, call, _ in calls} == {"weather"}
    assert all(thread.startswith("tools-") for _, _, thread in calls[:2])


def test_a_python_function_knows_the_principal(simulator):
    callers = []
    hooks = {"authenticate": lambda _request: ADA}
    with serving("converse", hooks=hooks, upstream=simulator.url) as (router, url):
        router.tool("weather", WEATHER, lambda _arguments, call: callers.append(call.principal))
        with connect(url) as client:
            apply_settings(client)
            ask(client)
            receive_until(client, "AgentAudioDone")
    assert callers == [ADA]


def test_an_exception_of_a_python_function_ends_no_call_and_is_logged_with_the_session(simulator, caplog):
    def weather(_arguments, _call):
        raise ValueError("no barometer")

    with serving("converse", upstream=simulator.url) as (router, url):
        router.tool("weather", WEATHER, weather)
        with connect(url) as client:
            session_id = apply_settings(client)[0]["request_id"]
            for _ in range(2):
                ask(client)
                frames = receive_until(client, "AgentAudioDone")
                assert "weather failed: its handler failed" in " ".join(said(frames))
    assert f"session {session_id}: the handler of weather failed" in caplog.text
    assert "no barometer" in caplog.text


def test_an_invalid_schema_is_refused_when_it_is_registered():
    router = Router(RouterConfig())
    with pytest.raises(ValueError, match="name must be"):
        router.tool({"description": "Nameless."})(print)
    router.close()


def test_no_thread_is_started_for_functions_before_one_is_called(simulator):
    with serving("converse", upstream=simulator.url) as (router, url):
        router.tool("weather", WEATHER, lambda *_: "sunny")
        with connect(url) as client:
            apply_settings(client)
        assert not [it for it in threading.enumerate() if it.name.startswith("tools-")]


def test_functions_that_hang_delay_neither_other_conversations_nor_the_end_of_the_pool(simulator):
    """One thread, and no queue: the call of the second session fails at once, and a third session talks on."""
    gate, begun = threading.Event(), threading.Event()

    def weather(_arguments, _call):
        begun.set()
        gate.wait(WAIT_S)
        return "late"

    limits = Limits(pool_threads=1, pool_queue=0)
    try:
        hooks = {"authenticate": lambda _request: ADA}
        with serving("converse", hooks=hooks, upstream=simulator.url, limits=limits) as (router, url):
            router.tool("weather", WEATHER, weather)
            with connect(url) as first, connect(url) as second:
                apply_settings(first)
                apply_settings(second)
                ask(first)
                assert begun.wait(WAIT_S)
                ask(second)
                frames = receive_until(second, "AgentAudioDone")
                assert "weather failed: too many functions are running" in " ".join(said(frames))
                ask(second, "hello there")
                assert "hello there" in " ".join(said(receive_until(second, "AgentAudioDone"))).lower()
            with connect(url) as late:
                apply_settings(late)
    finally:
        gate.set()


# Interruptions, and lost upstreams.


def test_a_call_that_the_user_interrupts_is_cancelled_and_its_late_answer_dropped(simulator):
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client, settings(think={"functions": [WEATHER]}))
        ask(client)
        (function,) = receive_until(client, "FunctionCallRequest")[-1]["functions"]
        client.send(LOUD)
        receive_until(client, "UserStartedSpeaking")
        cancelled = receive_until(client, "FunctionCallCancelled")[-1]
        assert cancelled["functions"] == [{"id": function["id"], "name": "weather"}]
        say(client, type="FunctionCallResponse", id=function["id"], name="weather", content="sunny")
        client.send(bytes(96_000))
        receive_until(client, "AgentAudioDone")  # of the turn that was interrupted
        frames = receive_until(client, "AgentAudioDone")
        assert of_type(frames, "Error") == []
    (upstream,) = simulator.connections
    outputs = [event["item"] for event in upstream.of_type("conversation.item.create") if "call_id" in event["item"]]
    assert [item["output"] for item in outputs] == [
        '{"error":"weather was cancelled: the user interrupted before it answered"}'
    ]


def test_a_call_that_runs_while_the_upstream_is_lost_runs_once_and_is_sent_to_the_next(simulator):
    """The upstream dies right after the call, and the function returns only when the next upstream is there."""
    simulator.add_fault(Fault(point=FaultPoint.FUNCTION_CALL_OUTSTANDING, action=FaultAction.CLOSE, code=1011))
    calls, gate = [], threading.Event()

    def weather(_arguments, call):
        calls.append(call.call_id)
        gate.wait(WAIT_S)
        return "sunny, 21 degrees"

    with serving("converse", upstream=simulator.url) as (router, url):
        router.tool("weather", WEATHER, weather)
        with connect(url) as client:
            apply_settings(client)
            ask(client)
            frames = receive_until(client, "Warning")
            assert frames[-1]["code"] == "UPSTREAM_RESTARTED"
            assert simulator.wait_for(lambda all_of_them: len(all_of_them) == 2, WAIT_S)
            gate.set()
            frames = receive_until(client, "AgentAudioDone")
            assert "sunny, 21 degrees" in " ".join(said(frames))
    assert len(calls) == 1
