"""A caller whose upstream does not answer gets an error in time, behind any number of other dials."""

import contextlib
import socket
import time

import pytest

from router.config.model import Deadlines, Limits
from tests.support.clients.neighbour import SETTINGS
from tests.support.clients.wire_client import WireClient
from tests.support.processes.serving import serving

pytestmark = [pytest.mark.slow, pytest.mark.quiet]

DIAL_S = 0.3
DEADLINES = Deadlines(dial_s=DIAL_S, restart_s=DIAL_S, session_created_s=DIAL_S, session_updated_s=DIAL_S, close_s=0.3)
LIMITS = Limits(dial_threads=2)
CALLERS = 40
IN_TIME_S = 3.0
"""Ten times a dial's deadline. The callers' dials, one behind the other, take twice as long as that."""


@pytest.fixture
def address():
    """Start a router whose upstream accepts connections and sends nothing."""
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        upstream = f"ws://127.0.0.1:{hole.getsockname()[1]}/v1/realtime"
        config = {"upstream": upstream, "restarts": 0, "deadlines": DEADLINES, "limits": LIMITS}
        _, url = stack.enter_context(serving("converse", **config))
        yield url


def call(url):
    client = WireClient(url)
    client.say("Settings", **SETTINGS)
    return client


def test_every_caller_gets_an_error_in_time_when_the_upstream_does_not_answer(address):
    with contextlib.ExitStack() as stack:
        began_s = time.monotonic()
        clients = [stack.enter_context(call(address)) for _ in range(CALLERS)]
        for client in clients:
            client.wait_for("Error", timeout_s=max(0.01, began_s + IN_TIME_S - time.monotonic()))
            assert client.wait_for_end(timeout_s=IN_TIME_S) == 1011


def test_a_caller_does_not_wait_for_the_dials_of_callers_that_are_gone(address):
    for _ in range(CALLERS):
        with call(address) as client:
            client.wait_for("Welcome", timeout_s=IN_TIME_S)
            client.reset()
    with call(address) as client:
        client.wait_for("Error", timeout_s=IN_TIME_S)
        assert client.wait_for_end(timeout_s=IN_TIME_S) == 1011
