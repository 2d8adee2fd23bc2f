"""A server that records: calls on every front, their files, and `switchboard replay` as a process."""

import base64
import contextlib
import json
import os
import sys
import urllib.parse

import pytest
from websockets.sync.client import connect

from router.simulator import Simulator, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients.telephone import STREAM, start_event
from tests.support.clients.voice_agent import SETTINGS
from tests.support.processes.children import RUN_PY, child, completed

WAIT_S = 15.0
UPSTREAM_KEY = "marked-upstream-key-0123456789"
TOKEN = "marked/client+token=0123456789"  # noqa: S105 - a credential to look for
HEADER = "marked-header-of-an-endpoint"
GREETING = "Bonjour from the zeppelin."
SAID = "My name is Zanzibar Quetzalcoatl."
PROMPT = "You are a lighthouse keeper."
WORDS = ("zeppelin", "Zanzibar", "Quetzalcoatl", "lighthouse")
SECRETS = (UPSTREAM_KEY, TOKEN, HEADER)
ROUTES = ["/openai", "/v1/agent/converse"]


@contextlib.contextmanager
def simulating(tmp_path, *flags):
    """Run the command in front of a simulator; see `serving`."""
    with (
        Simulator(SimulatorConfig(pace=20.0)) as simulator,
        serving(tmp_path, "--upstream", simulator.url, *flags) as served,
    ):
        yield served


@contextlib.contextmanager
def serving(tmp_path, *flags, **variables):
    """Run the command with a folder for recordings. Yield its address, its process and the folder."""
    folder = tmp_path / "recordings"
    argv = (sys.executable, RUN_PY, "--port", "0", "--log-format", "json", "--record", folder)
    env = {"OPENAI_API_KEY": UPSTREAM_KEY, "ROUTER_TOKENS": f"ada={TOKEN}", "ROUTER_TOOL_HOSTS": "api.example"}
    with child(*argv, *flags, env={**env, **variables}) as process:
        address = process.wait_for(r'"http":"http://([^"]+)"')[1]
        process.wait_for(r"worker \d+ serves")
        yield address, process, folder


def received(client, kind):
    while True:
        frame = client.recv(timeout=WAIT_S)
        if isinstance(frame, str) and kind in json.loads(frame).values():
            return


def heard(client):
    """Wait for sound; a written greeting has an `AgentAudioDone`, too, and comes without."""
    while isinstance(client.recv(timeout=WAIT_S), str):
        pass


def settings():
    """Return Settings with words and credentials in many places."""
    lookup = {
        "name": "lookup",
        "description": PROMPT,
        "parameters": {"type": "object"},
        "endpoint": {"url": f"https://api.example/?k={HEADER}", "headers": {"authorization": f"Bearer {HEADER}"}},
    }
    think = {**SETTINGS["agent"]["think"], "prompt": f"{PROMPT} {TOKEN}", "functions": [lookup]}
    return {**SETTINGS, "agent": {**SETTINGS["agent"], "think": think, "greeting": GREETING}}


def talk(address, route, given):
    """Hold a call with speech and text."""
    query = urllib.parse.urlencode({"token": TOKEN})
    with connect(f"ws://{address}{route}?{query}") as client:
        client.send(json.dumps(given))
        received(client, "SettingsApplied")
        client.send(bytes(3200))
        secret = base64.b64encode(TOKEN.encode()).decode()
        client.send(json.dumps({"type": "InjectUserMessage", "content": f"{SAID} {secret}"}))
        heard(client)
        received(client, "AgentAudioDone")


def telephone(address, **parameters):
    with connect(f"ws://{address}/twilio", additional_headers={"Authorization": f"Token {TOKEN}"}) as client:
        client.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        client.send(json.dumps(start_event(**parameters)))
        media = {"track": "inbound", "payload": base64.b64encode(b"\xff" * 160).decode()}
        client.send(json.dumps({"event": "media", "streamSid": STREAM, "media": media}))
        received(client, "mark")
        client.send(json.dumps({"event": "stop", "streamSid": STREAM, "stop": {}}))
        with contextlib.suppress(Exception):
            while True:
                client.recv(timeout=WAIT_S)


def files_of(folder, process, count):
    """Return the recordings of so many sessions, once their server has ended."""
    process.wait_for_lines('"duration_s"', count)
    process.stop()
    return sorted(folder.iterdir())


SEEDS = ("1", "2") if os.environ.get("CI") else ("1",)
"""No order of a set decides anything. The server that recorded has a seed of chance."""


def replay(path, *flags, seed="0"):
    """Run `switchboard replay`, and return its exit status and its output."""
    ran = completed("replay", path, *flags, env={**os.environ, "PYTHONHASHSEED": seed}, timeout_s=60)
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout + ran.stderr


def assert_exact(path):
    for seed in SEEDS:
        status, output = replay(path, "--verify", seed=seed)
        assert (status, "is the same" in output) == (0, True), output


def assert_without_secrets(text):
    for secret in SECRETS:
        spelled = (secret, urllib.parse.quote(secret, safe=""), base64.b64encode(secret.encode()).decode()[:-4])
        assert [it for it in spelled if it in text] == []


def test_calls_of_both_routes_are_recorded_without_words_and_replay_exactly(tmp_path):
    with simulating(tmp_path) as (address, process, folder):
        for route in ROUTES:
            talk(address, route, settings())
        paths = files_of(folder, process, 2)
    assert len(paths) == len(ROUTES)
    for path in paths:
        text = path.read_text()
        assert [word for word in WORDS if word in text] == []
        assert_without_secrets(text)
        assert '"principal":"ada"' in text
        assert_exact(path)
        assert '"live"' not in text, "the masked session took other decisions"
    status, trace = replay(paths[0])
    assert status == 0
    for kind in ("Settings", "SettingsApplied", "session.update", "response.output_audio.delta", "AgentAudioDone"):
        assert kind in trace


def test_with_content_and_audio_a_call_is_recorded_whole_and_without_a_credential(tmp_path):
    flags = ("--record-content", "--record-audio")
    with simulating(tmp_path, *flags) as (address, process, folder):
        talk(address, "/openai", settings())
        (path,) = files_of(folder, process, 1)
    text = path.read_text()
    assert [word for word in WORDS if word in text] == list(WORDS)
    assert_without_secrets(text)
    assert_exact(path)
    assert SAID in replay(path)[1]


def test_a_telephone_call_is_recorded_and_replays_exactly(tmp_path):
    (tmp_path / "switchboard.toml").write_text(f'[agents.keeper]\ngreeting = "{GREETING}"\n')
    config = ("--config", tmp_path / "switchboard.toml")
    with simulating(tmp_path, *config) as (address, process, folder):
        telephone(address, agent="keeper", who="Zanzibar")
        (path,) = files_of(folder, process, 1)
    text = path.read_text()
    assert [word for word in WORDS if word in text] == []
    assert_without_secrets(text)
    assert_exact(path)
    assert "──▶ start" in replay(path)[1]


def test_a_relayed_call_is_recorded_and_replays_exactly(tmp_path):
    with DeepgramSimulator(SimulatorConfig(pace=0, required_key=UPSTREAM_KEY)) as backend:
        variables = {"DEEPGRAM_API_KEY": UPSTREAM_KEY, "DEEPGRAM_AGENT_URL": backend.url}
        with serving(tmp_path, "--upstream", "simulator", **variables) as (address, process, folder):
            talk(address, "/deepgram", settings())
            (path,) = files_of(folder, process, 1)
    text = path.read_text()
    assert [word for word in WORDS if word in text] == []
    assert_without_secrets(text)
    assert_exact(path)


@pytest.mark.parametrize("flags", [("--record-rate", "0"), ("--record-principal", "bob")])
def test_sessions_that_are_not_chosen_leave_no_file(tmp_path, flags):
    with simulating(tmp_path, *flags) as (address, process, folder):
        talk(address, "/openai", settings())
        assert files_of(folder, process, 1) == []


def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path):
    (tmp_path / "file").touch()
    ran = completed("--port", "0", "--record", tmp_path / "file", timeout_s=60)
    assert ran.returncode == 1
    assert "cannot write recordings into" in ran.stderr


def test_a_call_of_openai_s_own_clients_is_recorded_and_replays_exactly(tmp_path):
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": SAID}]}
    events = (
        {"type": "session.update", "session": {"type": "realtime", "instructions": f"{PROMPT} {TOKEN}"}},
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(range(256))).decode()},
        {"type": "conversation.item.create", "item": item},
        {"type": "response.create"},
    )
    with simulating(tmp_path) as (address, process, folder):
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with connect(f"ws://{address}/v1/realtime?model=gpt-realtime", additional_headers=bearer) as client:
            for event in events:
                client.send(json.dumps(event))
            received(client, "response.done")
        (path,) = files_of(folder, process, 1)
    text = path.read_text()
    assert [word for word in WORDS if word in text] == []
    assert base64.b64encode(bytes(range(256))).decode() not in text
    assert_without_secrets(text)
    assert_exact(path)
    assert '"live"' not in text, "the masked session took other decisions"
