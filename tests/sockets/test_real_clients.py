"""Deepgram's own SDKs, all four of them, hold the same conversations with the real command.

Nothing is changed in any SDK but the host. The router runs as a process, with its embedded upstream.
"""

import os
import queue
import re
import shutil
import subprocess
import threading
import wave
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.server import serve

from tests.support.clients import deepgram_javascript, deepgram_python
from tests.support.clients.chromium import chromium_program
from tests.support.clients.sdk_client import TIMEOUT_S, SdkClient
from tests.support.processes import children
from tests.support.processes.further import further

RATE = 16000
SPEECH = "Good morning. Could you tell me what you can do for me today?"
GREETING = "Hello, how can I help?"
NOTICE = "This call is recorded."
WEATHER = "Sunny in Paris, 21 degrees"
TIME = "It is five to eleven"
LONG = "Remember every word of this. " + "It was a long way to the station, and it rained. " * 8
"""A question that the answer repeats, which takes the agent half a minute."""


def function(name, description):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"name": name, "description": description, "parameters": parameters}


def settings(**agent):
    """Settings as the SDKs' tutorials send them."""
    return {
        "audio": {
            "input": {"encoding": "linear16", "sample_rate": RATE},
            "output": {"encoding": "linear16", "sample_rate": 24000, "container": "none"},
        },
        "agent": {
            "language": "en",
            "listen": {"provider": {"type": "deepgram", "version": "v1", "model": "nova-3"}},
            "think": {
                "provider": {"type": "open_ai", "model": "gpt-4o-mini"},
                "prompt": "You are a friendly assistant.",
                "functions": [
                    function("get_weather", "Tell the weather in a city"),
                    function("get_time", "Tell the time in a city"),
                ],
            },
            "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
            **agent,
        },
    }


@pytest.fixture(scope="module")
def router():
    with children.router() as running:
        yield running


@pytest.fixture(scope="module")
def npm():
    """Return the folder where @deepgram/sdk is installed."""
    folder = os.environ.get("SWITCHBOARD_CLIENTS")
    if not folder:
        pytest.skip("SWITCHBOARD_CLIENTS names no folder with @deepgram/sdk (.ci/run makes one)")
    return Path(folder)


@contextmanager
def python(_request):
    yield partial(deepgram_python.connected, deepgram_python.SynchronousClient)


@contextmanager
def python_async(_request):
    yield partial(deepgram_python.connected, deepgram_python.AsynchronousClient)


@contextmanager
def node(request):
    with deepgram_javascript.node(request.getfixturevalue("npm")) as runtime:
        yield runtime.connected


@contextmanager
def chromium(request):
    with deepgram_javascript.chromium(request.getfixturevalue("npm"), chromium_program()) as runtime:
        yield runtime.connected


@pytest.fixture(
    scope="module",
    params=[python, further(python_async), further(node), chromium],
    ids=lambda runtime: runtime.__name__,
)
def connect(request):
    """Return the function that connects one of the SDKs to an address."""
    with request.param(request) as connect:
        yield connect


def test_each_sdk_authenticates_as_it_comes(connect):
    """Its key goes where the SDK puts it: into the header, or into the subprotocols."""
    with (
        children.router("--auth", "token", env={"ROUTER_TOKENS": "ada=any"}) as guarded,
        connect(guarded.address) as client,
    ):
        client.wait_for("Welcome")


@pytest.fixture
def client(connect, router):
    """Connect one SDK. It delivers no error, and its end is a normal close."""
    with connect(router.address) as client:
        yield client
    assert client.close_code == 1000
    session_id = client.received.of("Welcome")[0]["request_id"]
    router.child.wait_for(f"session {session_id} ended")
    assert not client.errors
    assert not client.received.of("Error")


@contextmanager
def handshakes():
    """Accept WebSockets as the router does; yield the address, and a queue of the received headers."""
    seen = queue.SimpleQueue()

    def listen(connection):
        seen.put(connection.request.headers)
        for _ in connection:
            pass

    with serve(listen, "127.0.0.1", 0, select_subprotocol=lambda _, offered: next(iter(offered), None)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "{}:{}".format(*server.socket.getsockname()), seen
        server.shutdown()
        thread.join()


def start(client: SdkClient, **agent):
    client.send("Settings", **settings(**agent))
    return client.wait_for("SettingsApplied")


def hold_turn(client: SdkClient, text):
    """Type `text`, and return the turn that answers it."""
    client.send("InjectUserMessage", content=text)
    turn = client.wait_for("AgentAudioDone")
    assert turn.text("user") == text
    return turn


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    """Make a WAV file in which a voice says SPEECH."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        pytest.skip("real speech needs Debian's package espeak-ng")
    file = tmp_path_factory.mktemp("speech") / "spoken.wav"
    subprocess.run([espeak, "-w", file, SPEECH], check=True)
    return file


@pytest.fixture(scope="module")
def speech(spoken) -> bytes:
    """Return it as linear16 at 16 kHz, with a second of silence behind it, which ends the turn."""
    return read_linear16(spoken) + bytes(2 * RATE)


def read_linear16(path):
    """Return a mono WAV file's samples at 16 kHz."""
    with wave.open(str(path)) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
        seconds = np.arange(0, wav.getnframes() / wav.getframerate(), 1 / RATE)
        times = np.arange(len(samples)) / wav.getframerate()
    return np.interp(seconds, times, samples).astype("<i2").tobytes()


def test_its_settings_are_applied_before_the_greeting(client):
    begun = start(client, greeting=GREETING)
    assert [kind for kind in begun.types if kind != "Warning"] == ["Welcome", "SettingsApplied"]
    greeting = client.wait_for("AgentAudioDone")
    assert greeting.text("assistant") == GREETING
    assert greeting.audio


def test_each_sdk_sends_its_key_in_its_own_way(connect):
    """A server of the test sees the handshake: a browser can use nothing but subprotocols."""
    with handshakes() as (address, seen), connect(address) as client:
        headers = seen.get(timeout=TIMEOUT_S)
    assert client.close_code == 1000
    if getattr(client, "subprotocol", ""):
        assert re.fullmatch(r"token, any, x-deepgram-session-id, [0-9a-f-]{36}", headers["Sec-WebSocket-Protocol"])
        assert client.subprotocol == "token"
    else:
        assert headers["Authorization"] == "Token any"
        assert "Sec-WebSocket-Protocol" not in headers


def test_typed_text_is_answered_in_text_and_audio(client):
    start(client)
    hold_turn(client, "My name is Ada.")
    turn = hold_turn(client, "What is my name?")
    assert "Ada" in turn.text("assistant")
    assert len(turn.audio) > RATE


def test_real_speech_is_heard_transcribed_and_answered(client, speech):
    start(client)
    client.speak(speech)
    turn = client.wait_for("AgentAudioDone")
    assert turn.types.index("UserStartedSpeaking") < turn.types.index("ConversationText")
    assert heard_s(turn.text("user")) == pytest.approx(len(speech) / 2 / RATE - 1, abs=0.7)
    assert turn.text("assistant")
    assert turn.audio


@pytest.fixture(scope="module")
def listening(npm, spoken):
    """Run a browser whose microphone plays SPEECH."""
    with deepgram_javascript.chromium(npm, chromium_program(), microphone=spoken) as runtime:
        yield runtime


def test_a_browser_s_own_microphone_is_heard(listening, router, speech):
    with listening.connected(router.address) as client:
        start(client)
        client.listen()
        turn = client.wait_for("AgentAudioDone")
        assert heard_s(turn.text("user")) == pytest.approx(len(speech) / 2 / RATE - 1, abs=0.7)
        assert turn.audio
    assert not client.errors


def heard_s(transcript):
    """Return the length of the speech as the embedded simulator states it: it understands no words."""
    return sum(float(seconds) for seconds in re.findall(r"([\d.]+) seconds", transcript))


def test_two_functions_run_on_the_client_in_one_turn(client):
    start(client)
    client.send("InjectUserMessage", content="What is the weather and the time in Paris?")
    client.wait_until("two calls", lambda: len(called(client)) == 2)
    calls = called(client)
    assert [call["name"] for call in calls] == ["get_weather", "get_time"]
    assert all(call["client_side"] for call in calls)
    assert not client.received.of("AgentAudioDone")
    for call, content in zip(reversed(calls), (TIME, WEATHER), strict=True):  # in the other order
        client.send("FunctionCallResponse", id=call["id"], name=call["name"], content=content)
    said = client.wait_for("AgentAudioDone").text("assistant")
    assert WEATHER in said
    assert TIME in said
    assert client.received.types.count("AgentAudioDone") == 1


def called(client):
    return [call for request in client.received.of("FunctionCallRequest") for call in request["functions"]]


def test_another_prompt_is_obeyed_from_the_next_turn_on(client):
    start(client)
    assert "pirates" not in hold_turn(client, "Who are you?").text("assistant")
    client.send("UpdatePrompt", prompt='Say exactly: "We are pirates."')
    client.wait_for("PromptUpdated")
    assert hold_turn(client, "Who are you?").text("assistant") == "We are pirates."


def test_an_injected_agent_message_is_spoken(client):
    start(client)
    client.send("InjectAgentMessage", message=NOTICE)
    said = client.wait_for("AgentAudioDone")
    assert said.text("assistant") == NOTICE
    assert said.audio
    assert not client.received.of("InjectionRefused")
    heard = re.search(r'I said: "(.*)"', hold_turn(client, "What did you say?").text("assistant"))
    assert NOTICE.startswith(
        heard[1]
    )  # this question has interrupted the notice, which is remembered as far as it was heard


def test_speech_interrupts_the_agent_and_is_answered_itself(client, speech):
    """Everything in between is of the old answer, and nothing of it comes after the user has started to speak."""
    start(client)
    client.send("InjectUserMessage", content=LONG)
    client.wait_until("audio", lambda: client.received.audio)
    client.speak(speech)
    cut = client.wait_for("UserStartedSpeaking")
    assert cut.audio
    rest = client.wait_for("AgentAudioDone")
    assert not rest.audio
    answer = client.wait_for("AgentAudioDone")
    assert heard_s(answer.text("user")) == pytest.approx(len(speech) / 2 / RATE - 1, abs=0.7)
    assert answer.audio
    assert "speak" in answer.text("assistant")


def test_a_keep_alive_is_never_answered(client):
    start(client)
    client.send("KeepAlive")
    turn = hold_turn(client, "Hello.")
    assert turn.types[0] == "ConversationText"
    assert "Warning" not in turn.types


def test_all_of_it_happens_in_one_call(client, speech):
    start(client, greeting=GREETING)
    client.wait_for("AgentAudioDone")
    hold_turn(client, "My name is Ada.")
    client.send("InjectUserMessage", content="What is the weather and the time in Paris?")
    client.wait_until("two calls", lambda: len(called(client)) == 2)
    for call in called(client):
        client.send("FunctionCallResponse", id=call["id"], name=call["name"], content=WEATHER)
    client.wait_for("AgentAudioDone")
    client.send("UpdatePrompt", prompt="Be brief.")
    client.wait_for("PromptUpdated")
    client.send("InjectAgentMessage", message=NOTICE, behavior="interrupt")
    client.wait_for("AgentAudioDone")
    client.speak(speech)
    client.wait_for("AgentAudioDone")
    if isinstance(client, deepgram_javascript.JavaScriptClient):
        assert not client.faults_of_types()
