"""The routes that give short-lived tokens, called as a server calls them."""

import io
import json
import time
from typing import ClassVar

import pytest

from actors.connections.handover import HandshakeRefused
from router.access.request import Principal
from router.config.model import RouterConfig
from router.policy.table import policies
from router.web import grants


class StandIn:
    """A router whose clients have the names of their credentials."""

    config = RouterConfig(model="gpt-realtime-2.1")

    def identify(self, environ):
        if "HTTP_AUTHORIZATION" not in environ:
            raise HandshakeRefused(401, "authentication failed")
        return Principal(environ["HTTP_AUTHORIZATION"].removeprefix("Token "))

    def grant(self, principal, ttl_s, **terms):
        self.terms.append(terms)
        return f"{principal.id}.token", ttl_s

    terms: ClassVar = []
    """The terms of the tokens that were asked for."""


def test_the_session_of_a_client_secret_obeys_the_policy(monkeypatch):
    rules = {"model": {"force": "gpt-secret"}, "voice": {"deny": True}}
    monkeypatch.setattr(StandIn, "config", RouterConfig(policies=policies({"default": rules})))
    assert "model" not in post(grants.CLIENT_SECRETS_PATHS[0], {"session": {"type": "realtime"}})["session"]
    session = {"type": "realtime", "audio": {"output": {"voice": "ash"}}}
    refused = refusal(grants.CLIENT_SECRETS_PATHS[0], {"session": session})
    assert (refused.status, refused.description) == (
        403,
        "`session.audio.output.voice` is not allowed for this client",
    )


class Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, *_):
        raise AssertionError("the body was read")


def post(path, body=None, **more):
    """Call a route; return the JSON of its answer."""
    written = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    environ = {"HTTP_AUTHORIZATION": "Token alice", "CONTENT_LENGTH": str(len(written)), **more}
    response = grants.routes(StandIn())[path]({"wsgi.input": io.BytesIO(written), **environ})
    assert dict(response.all_headers)["Cache-Control"] == "no-store"
    return json.loads(response.body)


def refusal(path, body, **more):
    with pytest.raises(HandshakeRefused) as caught:
        post(path, body, **more)
    return caught.value


@pytest.mark.parametrize(("body", "seconds"), [(None, 30), ({}, 30), ({"ttl_seconds": 3600}, 3600), (b" ", 30)])
def test_a_grant_has_the_shape_and_the_default_of_deepgram(body, seconds):
    assert post(grants.GRANT_PATHS[0], body) == {"access_token": "alice.token", "expires_in": seconds}


@pytest.mark.parametrize(("body", "seconds"), [(None, 600), ({"expires_after": {"seconds": 60}}, 60)])
def test_a_client_secret_has_the_shape_and_the_default_of_openai(body, seconds):
    answer = post(grants.CLIENT_SECRETS_PATHS[0], body)
    assert answer["value"] == "ek_alice.token"
    assert answer["expires_at"] == pytest.approx(time.time() + seconds, abs=5)
    session = answer["session"]
    assert (session["type"], session["object"], session["model"]) == (
        "realtime",
        "realtime.session",
        "gpt-realtime-2.1",
    )


@pytest.mark.parametrize("ttl", [0, 3601, -1, 1.5, "30", True, None])
def test_a_time_out_of_bounds_is_a_bad_request(ttl):
    refused = refusal(grants.GRANT_PATHS[0], {"ttl_seconds": ttl})
    assert (refused.status, refused.description) == (400, "ttl_seconds must be a whole number from 1 to 3600")
    for odd in ({"seconds": 5}, 60, "60"):
        assert refusal(grants.CLIENT_SECRETS_PATHS[0], {"expires_after": odd}).status == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b"\xff"])
def test_a_body_that_is_no_json_object_is_a_bad_request(body):
    assert refusal(grants.GRANT_PATHS[0], body).status == 400


def test_a_long_body_is_refused():
    assert refusal(grants.GRANT_PATHS[0], b" " * (grants.MAX_BODY_BYTES + 1)).status == 413


def test_the_body_of_a_stranger_is_not_read():
    for route in grants.routes(StandIn()).values():
        with pytest.raises(HandshakeRefused):
            route({"wsgi.input": Unread(), "CONTENT_LENGTH": "5"})


def test_a_token_for_one_session_is_asked_for_by_a_field_of_either_body():
    post(grants.GRANT_PATHS[0], {"single_use": True})
    assert StandIn.terms[-1] == {"is_single_use": True}
    post(grants.CLIENT_SECRETS_PATHS[0], {"single_use": True})
    assert StandIn.terms[-1] == {"is_single_use": True, "session": None}
    refused = refusal(grants.GRANT_PATHS[0], {"single_use": 1})
    assert (refused.status, refused.description) == (400, "single_use must be true or false")


def test_a_client_secret_is_bound_to_the_session_of_its_body():
    session = {"type": "realtime", "id": "mine", "model": "gpt-own", "instructions": "Be brief."}
    answer = post(grants.CLIENT_SECRETS_PATHS[0], {"session": session})["session"]
    assert (answer["model"], answer["instructions"]) == ("gpt-own", "Be brief.")
    assert answer["id"] != "mine"
    assert StandIn.terms[-1]["session"] == {"model": "gpt-own", "instructions": "Be brief."}


@pytest.mark.parametrize("session", [[], "x", {"type": "transcription"}])
def test_a_session_of_another_shape_is_a_bad_request(session):
    assert refusal(grants.CLIENT_SECRETS_PATHS[0], {"session": session}).status == 400


def test_a_body_of_many_levels_is_refused(monkeypatch):
    monkeypatch.setattr(StandIn, "config", RouterConfig(policies=policies({"default": {"voice": {"deny": True}}})))
    body = b'{"session":{"tools":' + b"[" * 900 + b"]" * 900 + b"}}"
    assert refusal(grants.CLIENT_SECRETS_PATHS[0], body).status == 400
