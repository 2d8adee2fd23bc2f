"""The checks that need no credential, in their order."""

import pytest

from actors.connections.handover import HandshakeRefused
from router.access.gate import Gate
from router.config.model import RouterConfig
from router.secrets import Secret
from router.testing import CallHarness


def gate(*, is_server=True, **config):
    return Gate(RouterConfig(**config), is_server=is_server)


def environ(host="127.0.0.1:8080", **more):
    return {"SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": host, **more}


def refusal(gate, environ):
    with pytest.raises(HandshakeRefused) as caught:
        gate.admit(environ)
    return caught.value


def test_a_request_without_an_origin_at_an_address_passes():
    assert gate().admit(environ()) == environ()


def test_the_name_that_the_server_listens_on_is_its_own():
    assert gate(host="Voice.Example").admit(environ("voice.example:8080"))
    assert refusal(gate(), environ("voice.example:8080")).status == 403


@pytest.mark.parametrize(
    ("path", "token", "passes"),
    [
        ("/twilio/voice", None, True),
        ("/twilio/voice", "token", True),
        ("/twilio", None, False),
        ("/twilio", "token", True),
        ("/twilio/status", None, False),
        ("/twilio/status", "token", True),
        ("/openai", "token", False),
    ],
)
def test_a_telephone_needs_no_listed_name_where_its_signature_covers_the_name(path, token, passes):
    called = environ("calls.example", PATH_INFO=path)
    if passes:
        assert gate(twilio_auth_token=token and Secret(token)).admit(called)
    else:
        assert refusal(gate(twilio_auth_token=token and Secret(token)), called).status == 403
    listing = gate(twilio_auth_token=Secret("token"), allow_hosts=("voice.example",))
    assert refusal(listing, called).status == 403, "the operator has listed the names"


def test_the_host_is_checked_before_the_origin():
    refused = refusal(gate(), environ("evil.example", HTTP_ORIGIN="http://evil.example"))
    assert (refused.status, "--allow-host" in refused.description) == (403, True)


def test_the_host_of_a_trusted_proxy_is_the_one_that_counts():
    it = gate(trusted_proxies=("10.0.0.0/8",), allow_hosts=("voice.example",))
    more = {"HTTP_X_FORWARDED_HOST": "voice.example", "HTTP_ORIGIN": "https://voice.example"}
    assert it.admit(environ("inner", **more))["HTTP_HOST"] == "voice.example"
    assert refusal(gate(allow_hosts=("voice.example",)), environ("inner", **more)).status == 403


def test_http_1_1_without_a_host_is_a_bad_request_and_http_1_0_passes():
    without = environ()
    del without["HTTP_HOST"]
    assert refusal(gate(), without).status == 400
    assert gate().admit({**without, "SERVER_PROTOCOL": "HTTP/1.0"})


def test_in_a_host_application_names_are_checked_if_any_is_listed():
    assert gate(is_server=False).admit(environ("app.example"))
    assert refusal(gate(is_server=False, allow_hosts=("app.example",)), environ("other.example")).status == 403


def test_an_embedded_router_refuses_a_foreign_page_before_it_asks_the_application():
    def authenticate(_request):
        raise AssertionError("authenticate was called")

    foreign = {"Host": "app.example", "Origin": "https://evil.example"}
    with CallHarness(authenticate=authenticate) as harness, pytest.raises(HandshakeRefused) as caught:
        harness.call(headers=foreign)
    assert caught.value.status == 403
    with CallHarness(allow_origins=["https://evil.example"]) as harness:
        harness.call(headers=foreign)


def test_the_address_of_the_client_is_the_one_that_hooks_see():
    seen = []
    with CallHarness(
        on_session_start=lambda session: seen.append(session.request.remote_address), trusted_proxies=["127.0.0.0/8"]
    ) as harness:
        harness.call(headers={"X-Forwarded-For": "203.0.113.7"})
    assert seen == ["203.0.113.7"]
