"""Twilio's requests: the webhook of a call, and the WebSocket of its stream."""

import io
from urllib.parse import urlencode
from wsgiref.util import setup_testing_defaults
from xml.etree import ElementTree as ET

import pytest

from router import Router
from router.fronts.twilio.signature import sign

TOKEN = "an-auth-token"  # noqa: S105 - of this test
FORM = {"CallSid": "CA1", "From": "+15550100", "To": "+15550199"}
UPGRADE = {
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture
def make_router():
    made = []

    def make(**settings):
        made.append(Router(upstream="ws://nowhere.invalid/v1/realtime", **settings))
        return made[-1]

    yield make
    for router in made:
        router.close(drain_s=0)


def request(router, path, *, method="POST", form=None, query="", **more):
    """Call the application; return status, headers and body."""
    body = urlencode(form or {}).encode()
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": "here.example",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **more,
    }
    setup_testing_defaults(environ)
    answers = []
    answered = b"".join(router.wsgi_app(environ, lambda status, headers: answers.append((status, dict(headers)))))
    ((status, headers),) = answers
    return int(status.partition(" ")[0]), headers, answered.decode()


def stream_of(body):
    """Return the URL and the parameters of the TwiML's stream."""
    (stream,) = ET.fromstring(body).findall("./Connect/Stream")  # noqa: S314 - our own
    return stream.get("url"), {it.get("name"): it.get("value") for it in stream}


def test_the_webhook_connects_the_call_to_the_host_that_was_asked(make_router):
    status, headers, body = request(make_router(), "/twilio/voice", form=FORM)
    assert (status, headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    assert stream_of(body) == ("wss://here.example/twilio", {"from": "+15550100", "to": "+15550199"})


def test_the_parameters_of_the_webhook_are_those_of_the_stream_and_its_url_has_no_query(make_router):
    _, _, body = request(make_router(), "/twilio/voice", query="agent=sup%26port&from=nobody", SCRIPT_NAME="/voice")
    assert stream_of(body) == ("wss://here.example/voice/twilio", {"agent": "sup&port", "from": "nobody"})


def test_a_parameter_that_twilio_would_not_pass_on_is_left_out(make_router):
    _, _, body = request(make_router(), "/twilio/voice", form=FORM | {"From": "1" * 600})
    assert stream_of(body)[1] == {"to": "+15550199"}


@pytest.mark.parametrize(("how", "status"), [({"method": "GET"}, 405), ({"form": {"a": "b" * 70_000}}, 413)])
def test_another_method_or_an_endless_form_is_refused(make_router, how, status):
    assert request(make_router(), "/twilio/voice", **how)[0] == status


def test_a_body_that_is_no_form_is_not_read(make_router):
    assert request(make_router(), "/twilio/voice", CONTENT_TYPE="text/plain", CONTENT_LENGTH="-5")[0] == 200


# The status call-back.


def status_of(router, status, **more):
    return request(router, "/twilio/status", form=FORM | {"CallStatus": status}, **more)


def test_the_status_of_a_call_that_is_over_ends_its_session_on_any_worker(make_router):
    router, asked = make_router(), []
    router.ask_workers = lambda verb: asked.append(verb) or [None, True]
    assert [status_of(router, status)[0] for status in ("ringing", "in-progress", "completed", "no-answer")] == [
        204
    ] * 4
    assert asked == [{"verb": "end_named", "name": "CA1"}] * 2


def test_the_status_of_an_unknown_call_or_without_an_id_changes_nothing(make_router):
    assert status_of(make_router(), "completed")[0] == 204
    assert request(make_router(), "/twilio/status", form={"CallStatus": "completed"})[0] == 204
    assert request(make_router(), "/twilio/status", method="GET")[0] == 405


def test_a_status_has_to_be_signed(make_router):
    router = make_router(twilio_auth_token=TOKEN)
    assert status_of(router, "completed")[0] == 403
    form = {name: [value] for name, value in (FORM | {"CallStatus": "completed"}).items()}
    signature = sign(TOKEN, "https://here.example/twilio/status", form)
    assert status_of(router, "completed", HTTP_X_TWILIO_SIGNATURE=signature)[0] == 204


# Signatures.


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_signed_webhook_is_answered_whatever_the_proxy_made_of_its_scheme(make_router, scheme):
    url = f"{scheme}://here.example/twilio/voice?agent=a"
    signature = sign(TOKEN, url, {name: [value] for name, value in FORM.items()})
    router = make_router(twilio_auth_token=TOKEN)
    signed = {"form": FORM, "query": "agent=a", "HTTP_X_TWILIO_SIGNATURE": signature}
    assert request(router, "/twilio/voice", **signed)[0] == 200
    assert request(router, "/twilio/voice", **signed | {"form": FORM | {"To": "+1900"}})[0] == 403


def test_an_unsigned_request_is_refused(make_router):
    router = make_router(twilio_auth_token=TOKEN)
    for path, how in (("/twilio/voice", {"form": FORM}), ("/twilio", {"method": "GET", **UPGRADE})):
        for signature in ({}, {"HTTP_X_TWILIO_SIGNATURE": "wrong"}):
            status, _, body = request(router, path, **how, **signature)
            assert (status, body) == (403, "the signature of Twilio is missing or wrong\n")


@pytest.mark.parametrize("host", ["here.example:x", "[::1", "here.example:99999"])
def test_a_host_that_is_none_is_refused_like_a_wrong_signature(make_router, host):
    router = make_router(twilio_auth_token=TOKEN)
    signed = {"HTTP_HOST": host, "HTTP_X_TWILIO_SIGNATURE": "x"}
    assert request(router, "/twilio/voice", form=FORM, **signed)[0] == 403
    assert request(router, "/twilio", method="GET", **UPGRADE, **signed)[0] == 403


def test_a_signed_upgrade_passes_the_check_and_needs_no_other_authentication(make_router):
    router = make_router(twilio_auth_token=TOKEN, authenticate=lambda _request: None)
    for signed, expected in (("wss://here.example/twilio", 501), ("https://here.example/twilio", 403)):
        signature = sign(TOKEN, signed, {})
        status, *_ = request(router, "/twilio", method="GET", HTTP_X_TWILIO_SIGNATURE=signature, **UPGRADE)
        assert status == expected, "501: this request has no socket"


def test_without_a_token_nothing_is_checked_and_the_application_authenticates(make_router):
    assert request(make_router(), "/twilio", method="GET", **UPGRADE)[0] == 501
    assert request(make_router(), "/twilio", method="GET")[0] == 501


def test_the_token_is_never_shown(make_router):
    router = make_router(twilio_auth_token=TOKEN, agents={"a": {"think": {"prompt": "unshown words"}}})
    assert TOKEN not in repr(router.config)
    assert TOKEN in router.config.secrets
    assert "unshown words" not in repr(router.config)
