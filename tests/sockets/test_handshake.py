"""Every way in which a Deepgram client opens its connection, against the command."""

import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.processes.children import router

TIMEOUT_S = 10.0
PATHS = ("/openai", "/v1/agent/converse")
KEY = "dg-key-0123456789-never-shown"
SESSION = "0b7b9ad6-9c1c-4d0a-b0a5-5a2f7f0d4a11"


@pytest.fixture(scope="module")
def address():
    with router() as running:
        yield running.address


def opened(address, path, **handshake):
    """Open a connection, read the Welcome, and return the selected subprotocol."""
    with connect(f"ws://{address}{path}", open_timeout=TIMEOUT_S, close_timeout=TIMEOUT_S, **handshake) as connection:
        assert json.loads(connection.recv(TIMEOUT_S))["type"] == "Welcome"
        return connection.subprotocol


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "Bearer", "bearer", "BEARER"])
def test_a_server_side_client_sends_its_key_in_a_header(address, path, scheme):
    assert opened(address, path, additional_headers={"Authorization": f"{scheme} {KEY}"}) is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (["token", KEY], "token"),
        (["bearer", KEY], "bearer"),
        (["token", KEY, "x-deepgram-session-id", SESSION], "token"),
        (["bearer", KEY, "x-deepgram-session-id", SESSION], "bearer"),
        (["mine", "token", KEY, "x-deepgram-session-id", SESSION], "token"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_a_browser_sends_its_key_as_a_subprotocol_which_is_never_selected(address, path, offered, selected):
    assert opened(address, path, subprotocols=offered) == selected


@pytest.mark.parametrize("path", PATHS)
def test_the_react_component_sends_its_key_in_the_query(address, path):
    assert opened(address, f"{path}?token={KEY}&service=agent") is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("service", ["transcription", "speak"])
def test_another_service_is_refused_before_the_upgrade(address, path, service):
    query = f"service={service}&model=nova-3&sample_rate=16000&encoding=linear16&channels=1&token={KEY}"
    with pytest.raises(InvalidStatus) as refused:
        opened(address, f"{path}?{query}")
    assert refused.value.response.status_code == 400
    assert b"service" in refused.value.response.body
    assert KEY.encode() not in refused.value.response.body
