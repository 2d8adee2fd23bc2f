"""The client's part of a recording, played to a real router."""

import os
from pathlib import Path

import pytest

from router import Router
from router.command import against, replay
from router.command.against import ServerError
from router.recording.reader import RecordingError
from router.simulator import Simulator, SimulatorConfig
from tests.support.engine.links import wsgi_server
from tests.support.machine.recorded import Recorded
from tests.support.machine.simulation import Simulation

pytestmark = pytest.mark.slow


@pytest.fixture
def path(tmp_path):
    recording = Recorded(has_content=True)
    it = Simulation("openai", wrapped=recording.wrapped)
    it.run(0.5)
    it.say("My name is Ada.")
    it.speak(0.2, 0.1)
    it.run(2.0)
    it.hang_up()
    path = tmp_path / "a.jsonl"
    path.write_bytes(recording.data)
    return str(path)


def test_a_router_answers_the_recorded_client(path, capsys):
    with Simulator(SimulatorConfig(pace=20.0)) as simulator:
        router = Router(upstream=simulator.url).start()
        try:
            with wsgi_server(router.wsgi_app) as (host, port):
                assert replay.main([path, "--against", f"ws://{host}:{port}/openai"]) == 0
        finally:
            router.close(drain_s=0)
    printed = capsys.readouterr().out
    for line in (
        "──▶ Settings",
        "◀── SettingsApplied",
        "──▶ InjectUserMessage",
        "──▶ audio, 4800 bytes",
        "◀── AgentDone",
    ):
        assert line in printed


def test_an_upstream_answers_the_recorded_router_and_its_ids_take_the_place_of_the_recorded_ones(tmp_path, capsys):
    recording = Recorded(has_content=True)
    it = Simulation("openai", wrapped=recording.wrapped)
    it.run(0.5)
    it.say("My name is Ada.")
    it.run(2.0)
    it.lose()
    it.run(1.0)
    it.say("And yours?")
    it.run(2.0)
    it.hang_up()
    (tmp_path / "a.jsonl").write_bytes(recording.data)
    with Simulator(SimulatorConfig(pace=20.0)) as simulator:
        assert replay.main([str(tmp_path / "a.jsonl"), "--against", f"{simulator.url}?model=gpt-realtime"]) == 0
        first, second = simulator.connections
    printed = capsys.readouterr().out
    for line in ("──▶ session.update", "◀── session.updated", "──▶ response.create", "◀── response.done"):
        assert line in printed
    assert "◀── error" not in printed
    assert "My name is Ada." in repr(first.events)
    assert "And yours?" in repr(second.events)


def test_the_ids_of_an_upstream_are_those_of_its_message_at_the_same_place():
    server = against._Server("ws://nowhere", {}, [].append)
    server._note('{"type":"response.created","response":{"id":"theirs"}}', server._present)
    server.note_recorded('{"type":"response.created","response":{"id":"ours"}}')
    server.note_recorded('{"type":"response.created","response":{"id":"further"}}')
    assert server._names == {"ours": "theirs"}


def test_a_damaged_line_is_a_sentence(path):
    written = Path(path).read_bytes().replace(b'"do":"SendToUpstream","frame"', b'"do":"SendToUpstream","fram"')
    Path(path).write_bytes(written)
    with Simulator(SimulatorConfig()) as simulator, pytest.raises(RecordingError, match="is damaged"):
        replay.main([path, "--against", f"{simulator.url}?model=gpt-realtime"])


def test_a_server_that_cannot_be_called_is_a_sentence(path):
    with pytest.raises(ServerError, match="cannot be reached"):
        replay.main([path, "--against", "ws://127.0.0.1:1/openai"])


def test_a_token_of_the_environment_is_sent_to_the_server_alone(path, monkeypatch, capsys):
    monkeypatch.setenv(replay.TOKEN, "a-marked-token")
    with pytest.raises(ServerError) as caught:
        replay.main([path, "--against", "ws://127.0.0.1:1/openai"])
    assert os.environ[replay.TOKEN] not in str(caught.value) + capsys.readouterr().out
