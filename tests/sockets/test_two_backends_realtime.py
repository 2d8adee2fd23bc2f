"""Calls in OpenAI's events that one backend begins and the other continues, with OpenAI's SDK as the client."""

from contextlib import contextmanager

import pytest

from router import Router
from router.config.guard import Guard, Rule
from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients import openai_clients
from tests.support.engine.links import wsgi_server
from tests.support.machine.simulation import SILENCE, TONE

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(openai_clients.LEGACY)]

KEY = "dg-0123456789-never-shown"
SPEECH = TONE * 8 + SILENCE * 12
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TRANSCRIBED = {"input": {"transcription": {"model": "whisper-1"}}}
ROUTES = [{"path": "/v1/realtime", "front": "realtime", "failover": True}]


class Place:
    """Both backends, and a client of the router in front of them."""

    def __init__(self, openai, deepgram, client):
        self.openai = openai
        self.deepgram = deepgram
        self.client = client


@contextmanager
def place(*, openai_faults=(), deepgram_faults=(), deepgram_pace=0, **settings):
    with (
        Simulator(SimulatorConfig(pace=0, faults=openai_faults)) as openai,
        DeepgramSimulator(SimulatorConfig(pace=deepgram_pace, required_key=KEY, faults=deepgram_faults)) as deepgram,
    ):
        given = {"routes": ROUTES, "deepgram_api_key": KEY, "deepgram_agent_url": deepgram.url, **settings}
        router = Router(upstreams=[{"url": openai.url}], **given).start()
        try:
            with (
                wsgi_server(router.wsgi_app) as (host, port),
                openai_clients.in_process(f"{host}:{port}") as client,
            ):
                client.wait_for("session.created")
                yield Place(openai, deepgram, client)
                client.close()
                assert not client.problems
        finally:
            router.close(drain_s=0)


def gone(skip=1):
    """Return the fault of a backend to which nothing connects any more, after the first connection."""
    return Fault(point=FaultPoint.CONNECT, action=FaultAction.CLOSE, code=1011, skip=skip, times=0)


def lost(point, skip=0):
    return Fault(point=point, action=FaultAction.CLOSE, code=1011, skip=skip)


def completed(client):
    return list(client.wire.responses.values()).count("completed")


def ask(client, text):
    count = completed(client)
    client.say(text)
    client.wait_until("answer", lambda: completed(client) > count)


def test_a_call_goes_on_at_deepgram_when_openai_is_gone_between_two_turns():
    with place() as here:
        client = here.client
        client.configure(instructions="Be brief.")
        ask(client, "My name is Ada.")
        here.openai.close()
        ask(client, "What do you remember?")
        assert "My name is Ada." in client.wire.text.rpartition("before")[2]
        ask(client, "I like tea.")
        assert "I like tea" in client.wire.text
        assert client.wire.errors == []
        settings = here.deepgram.connections[0].events[0]
        assert settings["agent"]["think"]["prompt"] == "Be brief."
        assert settings["agent"]["context"]["messages"][0]["content"] == "My name is Ada."


def test_a_call_begins_at_deepgram_where_openai_is_gone():
    with place(openai_faults=(gone(skip=0),)) as here:
        here.client.configure(instructions="Be brief.", audio=TRANSCRIBED)
        ask(here.client, "My name is Ada.")
        here.deepgram.transcribe(["Good morning"])
        here.client.speak(SPEECH)
        here.client.wait_until("answer", lambda: completed(here.client) > 1)
        (heard,) = here.client.wire.of("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "Good morning"
        assert here.client.wire.of("response.output_audio.delta")
        assert here.client.wire.errors == []


POINTS = [
    (FaultPoint.ITEM_CREATE, 0),
    (FaultPoint.RESPONSE_CREATE, 0),
    (FaultPoint.RESPONSE_CREATED, 0),
    (FaultPoint.MID_TRANSCRIPT, 3),
    (FaultPoint.MID_AUDIO, 1),
    (FaultPoint.BEFORE_RESPONSE_DONE, 0),
]


@pytest.mark.parametrize(("point", "skip"), POINTS, ids=lambda it: getattr(it, "value", None))
def test_the_open_question_is_answered_by_deepgram(point, skip):
    with place(openai_faults=(lost(point, skip), gone())) as here:
        ask(here.client, "I like tea.")
        ask(here.client, "What do you remember?")
        assert "I like tea" in here.client.wire.text.rpartition("before")[2]
        assert here.client.wire.errors == []


def test_speech_that_was_under_way_is_heard_by_deepgram_and_begins_once():
    with place(openai_faults=(lost(FaultPoint.SPEECH_STARTED), gone())) as here:
        here.client.configure(audio=TRANSCRIBED)
        here.deepgram.transcribe(["Good morning"])
        here.client.speak(SPEECH)
        here.client.wait_until("answer", lambda: completed(here.client))
        assert "Good morning" in here.client.wire.text
        assert len(here.client.wire.of("input_audio_buffer.speech_started")) == 1
        assert len(here.client.wire.of("input_audio_buffer.committed")) == 1


def test_a_function_runs_once_although_its_backend_is_lost_before_the_output():
    with place(openai_faults=(lost(FaultPoint.FUNCTION_OUTPUT), gone())) as here:
        client = here.client
        client.configure(tools=[WEATHER])
        client.say("What is the weather in Paris?")
        called = client.wait_for("response.function_call_arguments.done")
        client.wait_for("response.done")
        output = {"type": "function_call_output", "call_id": called["call_id"], "output": "it is sunny"}
        client.send("conversation.item.create", item=output)
        client.send("response.create")
        client.wait_until("answer", lambda: "sunny" in client.wire.text)
        assert len(client.wire.calls) == 1
        client.wait_until("the end", lambda: completed(client) == 2)
        (record,) = [
            it
            for it in here.deepgram.connections[0].events[0]["agent"]["context"]["messages"]
            if "function_calls" in it
        ]
        assert record["function_calls"][0]["response"] == "it is sunny"


def test_a_function_that_deepgram_calls_is_answered():
    with place(openai_faults=(gone(skip=0),)) as here:
        client = here.client
        client.configure(tools=[WEATHER])
        client.say("What is the weather in Paris?")
        called = client.wait_for("response.function_call_arguments.done")
        client.wait_for("response.done")
        output = {"type": "function_call_output", "call_id": called["call_id"], "output": "it is sunny"}
        client.send("conversation.item.create", item=output)
        client.send("response.create")
        client.wait_until("answer", lambda: completed(client) == 2)
        assert "it is sunny" in client.wire.text
        assert client.wire.errors == []


def test_a_barge_in_ends_the_answer_and_the_speech_is_answered():
    with place(openai_faults=(gone(skip=0),), deepgram_pace=2.0) as here:
        client = here.client
        client.configure(audio=TRANSCRIBED)
        here.deepgram.transcribe(["Good morning"])
        client.say("Tell me of tea, of coffee, of milk, of water, of juice, of cocoa and of wine. " * 4)
        client.wait_for("response.output_audio.delta")
        client.speak(SPEECH)
        client.wait_until("answer", lambda: completed(client))
        assert list(client.wire.responses.values()) == ["cancelled", "completed"]
        cut = client.wire.of("response.done")[0]["response"]["status_details"]
        assert cut == {"type": "cancelled", "reason": "turn_detected"}
        assert "Good morning" in client.wire.text
        assert client.wire.errors == []


TEXTS = ["My name is Ada.", "I like tea.", "What do you remember?"]


def test_a_call_returns_to_openai_when_deepgram_is_lost():
    refused = Fault(point=FaultPoint.CONNECT, action=FaultAction.CLOSE, code=1011, skip=1, times=1)
    faults = (lost(FaultPoint.BETWEEN_TURNS), refused)
    with place(openai_faults=faults, deepgram_faults=(lost(FaultPoint.BETWEEN_TURNS),)) as here:
        for text in TEXTS:
            ask(here.client, text)
        assert len(here.deepgram.connections) == 1
        served, refusing, newest = here.openai.connections
        assert (len(served.events), refusing.events) == (2, [])
        items = [it["item"] for it in newest.events if it["type"] == "conversation.item.create"]
        assert [it["role"] for it in items] == ["user", "assistant", "user", "assistant", "user"]
        assert [it["content"][0]["text"] for it in items[::2]] == TEXTS
        assert "You said" in items[3]["content"][0]["text"]  # Deepgram's answer
        assert newest.events[-1]["type"] == "response.create"
        assert here.client.wire.errors == []


def test_an_event_that_deepgram_cannot_take_is_answered_and_the_socket_stays():
    with place(openai_faults=(gone(skip=0),)) as here:
        client = here.client
        client.send("response.create", event_id="mine", response={"conversation": "none", "instructions": "Sum it up."})
        error = client.wait_for("error")["error"]
        assert (error["code"], error["event_id"]) == ("unsupported_by_backend", "mine")
        ask(client, "I like tea.")
        assert "I like tea" in client.wire.text


def test_the_guard_reads_the_answers_of_deepgram_too():
    guard = Guard(rules=(Rule(expression="forbidden", on=("agent",), action="say", say="Let us talk of tea."),))
    with place(openai_faults=(gone(skip=0),), guard=guard) as here:
        here.client.say("a forbidden fruit")
        here.client.wait_until("the words of the guard", lambda: "talk of tea" in here.client.wire.text)
        assert "forbidden" not in here.client.wire.text
