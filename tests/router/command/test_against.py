"""The client's part of a recording, played to a real router."""

import os

import pytest

from router import Router
from router.command import replay
from router.command.against import ServerError
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


def test_a_server_that_cannot_be_called_is_a_sentence(path):
    with pytest.raises(ServerError, match="cannot be reached"):
        replay.main([path, "--against", "ws://127.0.0.1:1/openai"])


def test_a_token_of_the_environment_is_sent_to_the_server_alone(path, monkeypatch, capsys):
    monkeypatch.setenv(replay.TOKEN, "a-marked-token")
    with pytest.raises(ServerError) as caught:
        replay.main([path, "--against", "ws://127.0.0.1:1/openai"])
    assert os.environ[replay.TOKEN] not in str(caught.value) + capsys.readouterr().out
