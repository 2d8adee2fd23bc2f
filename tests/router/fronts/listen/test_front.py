"""The fronts of transcription: their routes, and the address of Deepgram."""

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from actors.connections.base import ConnectionLimits
from router import Router
from router.access.request import Query
from router.config.model import RouterConfig
from router.fronts.listen.front import LISTEN_RELAY, TRANSCRIBER, dial_target
from router.secrets import Secret
from router.simulator import Simulator, SimulatorConfig
from tests.support.clients.deepgram_python import listen_results
from tests.support.engine.links import wsgi_server

KEY = "dg-0123456789"
LOUD, QUIET = b"\x00\x20" * 320, b"\x00\x00" * 320


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("wss://api.deepgram.com/v1/listen", "wss://api.deepgram.com/v1/listen?model=nova-3&language=de+AT"),
        ("ws://127.0.0.1:9000", "ws://127.0.0.1:9000/v1/listen?model=nova-3&language=de+AT"),
        ("ws://here.example/own?a=1", "ws://here.example/own?a=1&model=nova-3&language=de+AT"),
    ],
)
def test_the_client_s_parameters_go_to_deepgram_and_its_credential_does_not(written, url):
    query = {"service": "transcription", "token": "own", "model": "nova-3", "language": "de AT"}
    config = RouterConfig(deepgram_listen_url=written, deepgram_api_key=Secret(KEY))
    target = dial_target(config, ConnectionLimits(), query)
    assert (target.url, target.headers) == (url, (("Authorization", f"Token {KEY}"),))


def test_a_repeated_parameter_goes_to_deepgram_as_often_as_the_client_wrote_it():
    query = Query([("keyterm", "a"), ("token", "own"), ("keyterm", "b c"), ("token", "too")])
    config = RouterConfig(deepgram_listen_url="wss://api.deepgram.com/v1/listen")
    url = "wss://api.deepgram.com/v1/listen?keyterm=a&keyterm=b+c"
    assert dial_target(config, ConnectionLimits(), query).url == url


def test_both_fronts_have_their_name():
    assert (TRANSCRIBER.name, TRANSCRIBER.is_relay) == ("listen", False)
    assert (LISTEN_RELAY.name, LISTEN_RELAY.dial_target) == ("deepgram-listen", dial_target)


@pytest.fixture
def address():
    """The address of a router without a key of Deepgram's, in front of the simulator."""
    simulator = Simulator(SimulatorConfig(pace=0)).start()
    simulator.script(transcripts=["Good morning"])
    router = Router(upstream=simulator.url).start()
    with wsgi_server(router.wsgi_app) as (host, port):
        yield f"{host}:{port}"
    router.close(drain_s=0)
    simulator.close()


@pytest.mark.slow
def test_deepgram_s_sdk_transcribes_with_an_openai_key_alone(address):
    frames = (*[LOUD] * 40, *[QUIET] * 60)
    found = listen_results(address, frames, encoding="linear16", sample_rate=16000)
    assert [(it["channel"]["alternatives"][0]["transcript"], it["is_final"]) for it in found] == [
        ("Good morning", True)
    ]


@pytest.mark.slow
def test_the_component_s_second_socket_is_served_on_the_path_of_its_first(address):
    query = "service=transcription&encoding=linear16&sample_rate=16000&channels=1"
    with connect(f"ws://{address}/deepgram?{query}") as client:
        for frame in (*[LOUD] * 40, *[QUIET] * 60):
            client.send(frame)
        assert "Good morning" in client.recv(5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/deepgram", 404),
        ("/deepgram?service=transcription", 400),
        ("/v1/listen?encoding=opus", 400),
        ("/v1/listen?service=agent&encoding=linear16", 400),
        ("/openai?service=transcription", 400),
    ],
)
def test_a_request_that_is_not_served_is_refused_before_the_upgrade(address, path, status):
    with pytest.raises(HTTPError, match=str(status)):
        urlopen(f"http://{address}{path}", timeout=5)
