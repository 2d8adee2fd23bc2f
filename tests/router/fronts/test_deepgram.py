"""Deepgram's protocol as a front: nothing is translated."""

import json
from http import HTTPStatus
from types import SimpleNamespace

import pytest

from actors.connections.handover import HandshakeRefused
from router.access.request import Principal
from router.config.model import RouterConfig
from router.fronts.agents import Agents
from router.fronts.deepgram import COMPONENT, SDKS, serve_think_models
from router.fronts.front import Call
from router.policy.table import policies
from router.session.machine import Session
from tests.support.machine.options import session_options


@pytest.mark.parametrize(("front", "profile"), [(COMPONENT, "openai"), (SDKS, "converse")])
def test_the_session_is_the_machine_and_keeps_its_options(front, profile):
    session = Session("abc", front.profile, front.options(session_options()))
    call = Call(session=session, machine=session, agents=Agents(), config=RouterConfig())
    assert front.adapt(call) is session
    assert front.name == session.describe()["profile"] == profile


@pytest.mark.parametrize("front", [COMPONENT, SDKS])
def test_a_client_is_welcomed_and_informed_of_a_crash(front):
    assert json.loads(front.first_text("abc")) == {"type": "Welcome", "request_id": "abc"}
    assert json.loads(front.crash_frame)["code"] == "INTERNAL_SERVER_ERROR"


def test_the_models_that_a_client_may_request_are_listed_once_each():
    config = RouterConfig(model="first", models=("second", "first"))
    listed = json.loads(serve_think_models(SimpleNamespace(config=config), {}).body)["models"]
    assert [model["id"] for model in listed] == ["first", "second"]
    assert {model["provider"] for model in listed} == {"open_ai"}


def test_the_list_of_models_obeys_the_policy_of_the_client():
    held = policies({"default": {"model": {"allow": ["second"]}}, "kiosk": {"model": {"allow": ["third"]}}})
    config = RouterConfig(model="first", models=("second", "third"), policies=held)

    def identify(environ):
        if environ["HTTP_AUTHORIZATION"] != "Token of-the-kiosk":
            raise HandshakeRefused(HTTPStatus.UNAUTHORIZED, "no")
        return Principal("ada", policy="kiosk")

    def listed(**environ):
        body = serve_think_models(SimpleNamespace(config=config, identify=identify), environ).body
        return [model["id"] for model in json.loads(body)["models"]]

    assert listed(HTTP_AUTHORIZATION="Token of-the-kiosk") == ["third"]
    assert listed(HTTP_AUTHORIZATION="Token wrong") == ["second"]
    assert listed() == ["second"]
