"""The project's own tests of its calls: in memory, beside Django's test client for its pages."""

from collections.abc import Iterator

import django_app
import pytest
from django.test import Client

from router.simulator import Simulator
from router.testing import CallHarness


@pytest.fixture(scope="module", autouse=True)
def router_closed_at_the_end() -> Iterator[None]:
    """Close the router, so that no thread is left behind."""
    yield
    django_app.router.close(drain_s=0)


def test_the_page_names_the_address() -> None:
    """The project serves its pages as before."""
    assert b"/voice" in Client().get("/").content


def test_a_caller_is_answered(simulator: Simulator) -> None:
    """Hold a whole call, with the simulator for the model."""
    with CallHarness(django_app.router) as harness:
        call = harness.call("openai", simulator=simulator)
        call.client.start()
        call.client.say("hello there")
        call.client.wait_for("AgentAudioDone")
        assert simulator.connections[0].of_type("conversation.item.create")
