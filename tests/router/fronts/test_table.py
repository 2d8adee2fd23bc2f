"""The fronts, and their routes."""

import pytest

from router import Router
from router.config.model import COUSIN_PATHS, DEEPGRAM_PATHS, LISTEN_PATHS, THINK_MODELS_PATHS
from router.config.route import FRONTS as ROUTED
from router.fronts.table import FRONTS, routes


@pytest.fixture
def router():
    router = Router(path="/voice")
    yield router
    router.close(drain_s=0)


def test_every_front_has_a_route_and_no_path_is_there_twice(router):
    found = routes(router)
    assert {route.path for route in found} == {
        "/voice",
        "/v1/agent/converse",
        *THINK_MODELS_PATHS,
        "/v1/realtime",
        "/openai/v1/realtime",
        "/twilio",
        "/twilio/voice",
        "/twilio/status",
        *COUSIN_PATHS,
        *LISTEN_PATHS,
        *DEEPGRAM_PATHS,
    }
    assert len(found) == len({route.path for route in found})
    telephones = {"twilio", "telnyx", "plivo", "exotel", "vonage"}
    assert set(FRONTS) == {"openai", "converse", "realtime", "deepgram", "listen", "deepgram-listen", *telephones}
    assert all(name == front.name for name, front in FRONTS.items())


def test_a_listed_route_is_added_or_replaces_the_built_in_one_of_its_path():
    listed = [
        {"path": "/support", "front": "converse"},
        {"path": "/openai", "front": "realtime"},
        {"path": "/phone", "front": "twilio"},
        {"path": "/v1/realtime", "front": "off"},
        {"path": "/twilio", "front": "off"},
    ]
    router = Router(routes=listed)
    paths = [route.path for route in routes(router)]
    router.close(drain_s=0)
    assert len(paths) == len(set(paths))
    assert {"/support", "/openai", "/phone", "/phone/voice", "/phone/status", "/v1/agent/converse"} <= set(paths)
    assert not {"/v1/realtime", "/twilio", "/twilio/voice", "/twilio/status"} & set(paths)


def test_the_configuration_names_every_front():
    assert set(ROUTED) - {"off"} == set(FRONTS) - {"deepgram-listen"}


def test_only_the_webhooks_take_posts(router):
    assert {route.path for route in routes(router) if "POST" in route.methods} == {
        "/twilio/voice",
        "/twilio/status",
    }
