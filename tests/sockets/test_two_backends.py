"""Calls that one backend begins and the other continues, over sockets, with Deepgram's SDK as the client."""

import itertools
import json
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect

from router import Router
from router.recording.reader import Recording
from router.recording.replay import verify
from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients import deepgram_python
from tests.support.clients.telephone import LOUD_FRAME, SILENT_FRAME, Telephone, dialled
from tests.support.engine.links import wsgi_server

pytestmark = pytest.mark.slow

KEY = "dg-0123456789-never-shown"
LINEAR = {"encoding": "linear16", "sample_rate": 16000}
AUDIO = {"input": LINEAR, "output": LINEAR}
WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
THINK = {"prompt": "Be brief.", "provider": {"type": "open_ai", "model": "x"}}
AGENT = {"greeting": "Hello there.", "think": THINK}
LOUD, QUIET = b"\x00\x20" * 320, b"\x00\x00" * 320

ROUTES = [
    {"path": "/deepgram/v1/agent/converse", "front": "deepgram", "failover": True},
    {"path": "/openai", "front": "openai", "failover": True},
    {"path": "/v1/agent/converse", "front": "converse", "failover": True},
]


class Place:
    """A router with both backends, and a client."""

    def __init__(self, openai, deepgram, address):
        self.openai = openai
        self.deepgram = deepgram
        self.address = address

    @contextmanager
    def calling(self, path):
        with deepgram_python.connected(deepgram_python.SynchronousClient, f"{self.address}{path}") as client:
            yield client


@contextmanager
def place(*, openai_faults=(), deepgram_faults=(), **settings):
    with (
        Simulator(SimulatorConfig(pace=0, faults=openai_faults)) as openai,
        DeepgramSimulator(SimulatorConfig(pace=0, required_key=KEY, faults=deepgram_faults)) as deepgram,
    ):
        given = {"routes": ROUTES, "deepgram_api_key": KEY, "deepgram_agent_url": deepgram.url, **settings}
        router = Router(upstreams=[{"url": openai.url}], **given).start()
        try:
            with wsgi_server(router.wsgi_app) as (host, port):
                yield Place(openai, deepgram, f"{host}:{port}")
        finally:
            router.close(drain_s=0)


def gone():
    """Return the fault of a backend to which nothing connects any more, after the first connection."""
    return Fault(point=FaultPoint.CONNECT, action=FaultAction.CLOSE, code=1011, skip=1, times=0)


def begin(client, agent=AGENT):
    client.send("Settings", audio=AUDIO, agent=agent)
    client.wait_for("SettingsApplied")
    assert client.wait_for("AgentAudioDone").text("assistant") == "Hello there."


def ask(client, text):
    client.send("InjectUserMessage", content=text)
    return client.wait_for("AgentAudioDone")


def texts(client, role):
    return [it["content"] for it in client.received.of("ConversationText") if it["role"] == role]


def assert_whole(client, *questions):
    """Check that the client saw one call: one beginning, one warning, each question once and answered once."""
    received = client.received
    assert [received.types.count(kind) for kind in ("Welcome", "SettingsApplied")] == [1, 1]
    assert texts(client, "assistant").count("Hello there.") == 1
    assert texts(client, "user") == list(questions)
    assert received.types.count("AgentAudioDone") == 1 + len(questions)
    warned = [it["code"] for it in received.of("Warning") if it["code"] != "MODEL_NOT_AVAILABLE"]
    assert warned == ["UPSTREAM_RESTARTED"]
    assert received.of("Error") == []
    assert client.errors == []


REMEMBER = {"deepgram": "What did I say before?", "openai": "What do you remember?"}
"""The question about the past, in the words of the simulator that continues a call of each backend."""

SIDES = {"from Deepgram": ("/deepgram", "deepgram"), "from OpenAI": ("", "openai")}
sides = pytest.mark.parametrize(("path", "first"), SIDES.values(), ids=SIDES.keys())


@sides
def test_a_call_whose_backend_is_gone_between_two_turns_continues_at_the_other_one(path, first):
    with place() as here, here.calling(path) as client:
        begin(client)
        assert "Ada" in ask(client, "My name is Ada").text("assistant")
        getattr(here, first).close()
        assert "Ada" in ask(client, REMEMBER[first]).text("assistant")
        third = ask(client, "I like tea")
        assert "I like tea" in third.text("assistant")
        assert_whole(client, "My name is Ada", REMEMBER[first], "I like tea")


@sides
@pytest.mark.parametrize("point", [FaultPoint.ITEM_CREATE, FaultPoint.ITEM_ACKED, FaultPoint.BEFORE_RESPONSE_DONE])
def test_the_open_question_is_answered_once_by_the_other_backend(path, first, point):
    # The greeting passes the last point first.
    skip = 1 if point is FaultPoint.BEFORE_RESPONSE_DONE or (first == "openai" and path == "") else 0
    faults = (
        Fault(point=point, action=FaultAction.CLOSE, code=1011, skip=skip),
        gone(),
    )
    with place(**{f"{first}_faults": faults}) as here, here.calling(path) as client:
        begin(client)
        assert "Ada" in ask(client, "My name is Ada").text("assistant")
        assert "Ada" in ask(client, REMEMBER[first]).text("assistant")
        assert_whole(client, "My name is Ada", REMEMBER[first])


CUTS = {
    "deepgram": ((FaultPoint.MID_AUDIO, 9), (FaultPoint.MID_TEXT, 1)),
    "openai": ((FaultPoint.MID_AUDIO, 10), (FaultPoint.MID_TRANSCRIPT, 6)),
}
"""The points in the middle of the first answer, with the number of times that the greeting and the answer pass them."""


@sides
@pytest.mark.parametrize("index", [0, 1], ids=["audio", "text"])
def test_an_answer_that_was_cut_off_is_given_again_by_the_other_backend(path, first, index):
    point, skip = CUTS[first][index]
    faults = (Fault(point=point, action=FaultAction.RESET, skip=skip), gone())
    with place(**{f"{first}_faults": faults}) as here, here.calling(path) as client:
        begin(client)
        assert "Ada" in ask(client, "My name is Ada").text("assistant")
        assert "tea" in ask(client, "I like tea").text("assistant")
        assert_whole(client, "My name is Ada", "I like tea")


@sides
def test_a_greeting_that_was_cut_off_ends_and_the_call_goes_on(path, first):
    faults = (Fault(point=FaultPoint.MID_AUDIO, action=FaultAction.RESET, skip=1), gone())
    with place(**{f"{first}_faults": faults}) as here, here.calling(path) as client:
        client.send("Settings", audio=AUDIO, agent=AGENT)
        client.wait_for("AgentAudioDone")
        assert "Ada" in ask(client, "My name is Ada").text("assistant")
        assert client.received.types.count("AgentAudioDone") == 2
        assert client.received.of("Error") == []


@sides
def test_speech_that_was_under_way_is_heard_by_the_other_backend(path, first):
    faults = (
        Fault(point=FaultPoint.SPEECH_STARTED, action=FaultAction.CLOSE, code=1011),
        gone(),
    )
    with place(**{f"{first}_faults": faults}) as here, here.calling(path) as client:
        here.deepgram.transcribe(["Good morning"])
        here.openai.script(transcripts=["Good morning"])
        begin(client)
        for frame in itertools.repeat(LOUD, 20):
            client.send_audio(frame)
        client.wait_for("UserStartedSpeaking")
        client.wait_until("a restart", lambda: client.received.of("Warning")[-1:])
        for frame in itertools.repeat(QUIET, 60):
            client.send_audio(frame)
        assert "Good morning" in client.wait_for("AgentAudioDone").text("user")
        assert client.received.types.count("UserStartedSpeaking") == 1
        assert_whole(client, "Good morning")


@sides
def test_a_function_that_the_lost_backend_asked_for_is_asked_for_again(path, first):
    agent = {**AGENT, "think": {**THINK, "functions": [WEATHER]}}
    faults = (
        Fault(point=FaultPoint.FUNCTION_OUTPUT, action=FaultAction.CLOSE, code=1011),
        gone(),
    )
    with place(**{f"{first}_faults": faults}) as here, here.calling(path) as client:
        begin(client, agent)
        client.send("InjectUserMessage", content="What is the weather in Paris?")
        for _ in range(2):
            (function,) = client.wait_for("FunctionCallRequest").of("FunctionCallRequest")[-1]["functions"]
            client.send("FunctionCallResponse", id=function["id"], name="get_weather", content="it is sunny")
        assert "sunny" in client.wait_for("AgentAudioDone").text("assistant")
        assert_whole(client, "What is the weather in Paris?")


@sides
def test_a_call_begins_at_the_other_backend_where_its_own_is_gone(path, first):
    with place() as here:
        getattr(here, first).close()
        with here.calling(path) as client:
            begin(client)
            assert "Ada" in ask(client, "My name is Ada").text("assistant")
            received = client.received
            assert [received.types.count(kind) for kind in ("Welcome", "SettingsApplied")] == [1, 1]
            assert received.of("Error") == []


OPENAI_POINTS = (
    FaultPoint.RESPONSE_CREATE,
    FaultPoint.RESPONSE_CREATED,
    FaultPoint.MID_TRANSCRIPT,
    FaultPoint.AUDIO_DONE,
    FaultPoint.BETWEEN_TURNS,
)


@pytest.mark.parametrize("action", [FaultAction.CLOSE, FaultAction.RESET])
@pytest.mark.parametrize("point", OPENAI_POINTS)
def test_a_call_leaves_openai_at_any_point_of_an_answer(point, action):
    faults = (Fault(point=point, action=action, skip=1), gone())
    with place(openai_faults=faults) as here, here.calling("") as client:
        client.send("Settings", audio=AUDIO, agent={"think": THINK})
        assert "Ada" in ask(client, "My name is Ada").text("assistant")
        assert "tea" in ask(client, "I like tea").text("assistant")
        ask(client, "And the sea")
        ask(client, "And ships")
        received = client.received
        assert texts(client, "user") == ["My name is Ada", "I like tea", "And the sea", "And ships"]
        assert received.types.count("AgentAudioDone") == 4
        assert received.types.count("SettingsApplied") == 1
        assert [it["code"] for it in received.of("Warning")].count("UPSTREAM_RESTARTED") == 1
        assert received.of("Error") == []


def test_a_call_returns_to_its_own_backend_when_the_other_one_is_lost():
    once = Fault(point=FaultPoint.ITEM_CREATE, action=FaultAction.CLOSE, code=1011)
    refused = Fault(point=FaultPoint.CONNECT, action=FaultAction.CLOSE, code=1011, skip=1, times=1)
    later = Fault(point=FaultPoint.ITEM_CREATE, action=FaultAction.CLOSE, code=1000, skip=2)
    with place(deepgram_faults=(once, refused), openai_faults=(later,)) as here, here.calling("/deepgram") as client:
        begin(client)
        for text in ("My name is Ada", "I like tea", "What do you remember?", "And ships"):
            ask(client, text)
        assert texts(client, "user") == ["My name is Ada", "I like tea", "What do you remember?", "And ships"]
        assert client.received.types.count("AgentAudioDone") == 5
        assert client.received.of("Error") == []
        assert len([it for it in here.deepgram.connections if it.events]) == 2
        remembered = [it for it in texts(client, "assistant") if "Ada" in it and "tea" in it]
        assert remembered or "Ada" in str(here.deepgram.connections[-1].events)


def test_limits_policies_and_recordings_hold_on_both_sides_of_a_move(tmp_path):
    rules = {"default": {"instructions": {"prefix": "Always polite."}}}
    faults = (Fault(point=FaultPoint.ITEM_CREATE, action=FaultAction.CLOSE, code=1011), gone())
    settings = {"policies": rules, "limits": {"max_turns": 3}, "record": str(tmp_path), "record_content": True}
    with place(deepgram_faults=faults, **settings) as here, here.calling("/deepgram") as client:
        begin(client)
        for text in ("One", "Two", "Three"):
            ask(client, text)
        client.wait_until("close", lambda: client.close_code is not None)
        assert [it["code"] for it in client.received.of("Error")] == ["MAX_TURNS"]
        (update,) = [it for it in here.openai.connections[-1].events if it["type"] == "session.update"]
        assert update["session"]["instructions"].startswith("Always polite.")
    (path,) = (it for it in tmp_path.glob("**/*") if it.is_file())
    with path.open("rb") as file:
        assert verify(Recording(str(path), file), str(path)).difference is None


def test_the_component_s_own_settings_are_enough_for_deepgram():
    """The React component leaves out much, and sends fields of its own."""
    faults = (Fault(point=FaultPoint.ITEM_CREATE, action=FaultAction.CLOSE, code=1011), gone())
    with place(openai_faults=faults) as here, connect(f"ws://{here.address}/openai") as client:
        agent = {"think": {"prompt": "Be brief.", "outputModalities": ["text"]}, "idleTimeoutMs": 9000}
        client.send(json.dumps({"type": "Settings", "agent": agent}))
        wait_for(client, "SettingsApplied")
        client.send(json.dumps({"type": "InjectUserMessage", "content": "I like tea"}))
        frames = wait_for(client, "AgentAudioDone")
        said = [it["content"] for it in frames if it["type"] == "ConversationText"]
        assert said[0] == "I like tea"
        assert "I like tea" in said[1]
        assert [it["code"] for it in frames if it["type"] in ("Warning", "Error")] == ["UPSTREAM_RESTARTED"]


def test_a_telephone_call_goes_on_at_deepgram():
    routes = [{"path": "/twilio", "front": "twilio", "failover": True}]
    agents = {"default": {"greeting": "Hello there.", "think": THINK}}
    with place(routes=routes, agents=agents) as here, dialled(here.address) as connection:
        phone = Telephone(connection)
        phone.begin()
        phone.run(lambda: phone.heard_s() > 0.3)
        here.openai.close()
        here.deepgram.transcribe(["I like tea"])
        phone.run_for(1.0)
        heard_s, phone.speech = phone.heard_s(), LOUD_FRAME * 40 + SILENT_FRAME * 80
        phone.run(lambda: len(phone.clears) or phone.heard_s() > heard_s + 0.5)
        phone.run(lambda: phone.heard_s() > 0.5)
        assert here.deepgram.connections[-1].events[0]["audio"]["input"] == {"encoding": "mulaw", "sample_rate": 8000}
        assert not phone.is_closed


def wait_for(client, kind):
    """Return the messages up to the next one of a type."""
    frames = []
    while not frames or frames[-1]["type"] != kind:
        frame = client.recv(timeout=20)
        if isinstance(frame, str):
            frames.append(json.loads(frame))
    return frames
