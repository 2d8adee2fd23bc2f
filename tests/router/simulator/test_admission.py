"""Admission: the keys and models that are refused after the handshake."""

import pytest
from websockets.sync.client import connect

from router.simulator import Simulator, SimulatorConfig
from router.simulator.admission import api_key, refusal_of

HEADERS = {
    "the header": {"authorization": "Bearer s3cret "},
    "a browser's subprotocol": {"sec-websocket-protocol": "realtime, openai-insecure-api-key.s3cret"},
}


@pytest.mark.parametrize("where", HEADERS)
def test_a_key_is_taken_from_either_place(where):
    assert api_key(HEADERS[where]) == "s3cret"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic s3cret"}, {"sec-websocket-protocol": "realtime"}])
def test_a_request_may_have_no_key(headers):
    assert api_key(headers) == ""
    assert refusal_of(headers, {"model": "gpt-realtime"}, SimulatorConfig()) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "headers", "close"),
    [
        ("", {}, (4000, "invalid_request_error.missing_model")),
        ("?model=gpt-4o", {}, (4000, "invalid_request_error.invalid_model")),
        ("?model=parrot-1", {}, (4004, "invalid_request_error.model_not_found")),
        (
            "?model=gpt-realtime",
            {"OpenAI_Beta": "realtime=v1"},
            (4000, "invalid_request_error.beta_api_shape_disabled"),
        ),
        ("?model=gpt-realtime", {"Authorization": "Bearer invalid-1"}, (3000, "invalid_request_error.invalid_api_key")),
        ("?model=gpt-realtime", {"Authorization": "Bearer noquota"}, (1013, "insufficient_quota.insufficient_quota")),
    ],
)
def test_the_service_refuses_after_the_handshake(simulator, dial, query, headers, close):
    with dial(simulator, query, **headers) as client:
        error = client.until("error")["error"]
        assert client.closed_with() == close

    assert close[1].endswith(error["code"])
    assert [event["type"] for event in client.seen] == ["error"]


@pytest.mark.slow
def test_a_required_key_is_required_and_never_shown(dial):
    with Simulator(SimulatorConfig(pace=0, required_key="s3cret")) as simulator:
        with dial(simulator, Authorization="Bearer wr0ng") as client:
            assert client.until("error")["error"]["code"] == "invalid_api_key"
            assert client.closed_with()[0] == 3000
        assert "s3cret" not in str(client.seen)
        assert "wr0ng" not in str(client.seen)
        with dial(simulator, Authorization="Bearer s3cret") as client:
            client.until("session.created")


@pytest.mark.slow
def test_a_browser_s_subprotocols_carry_the_key():
    with Simulator(SimulatorConfig(pace=0, required_key="s3cret")) as simulator:
        offered = ["realtime", "openai-insecure-api-key.s3cret"]
        with connect(f"{simulator.url}?model=gpt-realtime", subprotocols=offered) as browser:
            assert browser.subprotocol == "realtime"
            assert "session.created" in browser.recv(timeout=5)
