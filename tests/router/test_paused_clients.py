"""The user has not stopped speaking when the router pauses the client for a slow upstream."""

import threading

import orjson
import pybase64
import pytest

from actors import lifecycle
from actors.client import ClientActor
from actors.dispatcher import Dispatcher
from router.session.machine import Session
from router.session.profile import PROFILES
from router.session.state import user_turn
from tests.actors.test_neighbours import starts
from tests.support.engine.sessions import WAIT_S, EngineHarness, only
from tests.support.machine.options import session_options
from tests.support.machine.playbook import SESSION_ID, SETTINGS

LOUD = b"\x01\x02" * 2400
"""100 ms of speech."""

FRAMES = 120
"""The frames that the router reads: more than may wait for an upstream."""

WAITING = 20
"""The frames that wait in the client's socket meanwhile."""

STOPPED_S = 1.0
"""The silence after which a microphone counts as stopped, in place of 3 s."""

PAUSE_S = 1.7


@pytest.fixture
def house():
    dispatcher = Dispatcher("test-dispatcher").start()
    house = EngineHarness(dispatcher)
    yield house
    house.close()
    assert dispatcher.stop()
    assert dispatcher.failures == 0


def event(upstream):
    return orjson.loads(upstream.receive())


def heard(upstream, count):
    """Return the audio of so many frames."""
    audio = b""
    while len(audio) < count * len(LOUD):
        audio += pybase64.b64decode(event(upstream)["audio"])
    return audio


def test_no_silence_is_put_in_front_of_speech_that_waits_in_the_client_s_socket(house, monkeypatch):
    monkeypatch.setattr(user_turn, "STOPPED_S", STOPPED_S)
    machine = Session(SESSION_ID, PROFILES["converse"], session_options())
    client = starts(house, machine, expect=None)
    client.send_text(orjson.dumps(SETTINGS).decode())
    assert house.dialled.acquire(timeout=WAIT_S)
    upstream = house.upstreams[-1]
    upstream.send_text('{"type":"session.created","session":{}}')
    assert event(upstream)["type"] == "session.update"
    upstream.send_text('{"type":"session.updated","session":{}}')
    assert orjson.loads(client.receive())["type"] == "SettingsApplied"
    client.send_binary(LOUD)
    assert heard(upstream, 1) == LOUD
    upstream.send_text('{"type":"input_audio_buffer.speech_started","item_id":"u1"}')
    assert orjson.loads(client.receive())["type"] == "UserStartedSpeaking"
    upstream.stop_reading()
    for _ in range(FRAMES):
        client.send_binary(LOUD)
    assert any(only(ClientActor).ask(lifecycle.Describe(), timeout=WAIT_S)["is_paused"] for _ in range(10_000))
    for _ in range(WAITING):
        client.send_binary(LOUD)
    threading.Event().wait(PAUSE_S)  # the pause itself is under test: no event marks its end
    upstream.read_again()
    assert heard(upstream, FRAMES + WAITING).count(0) == 0
    client.close()
