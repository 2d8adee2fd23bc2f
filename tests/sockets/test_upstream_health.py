"""What new calls gain from the calls before them: upstreams that failed are passed over."""

import contextlib
import socket

import pytest
from websockets.sync.client import connect

from router import Deadlines, Secret
from router.config.upstream import Upstream
from tests.support.clients.voice_agent import SETTINGS
from tests.support.processes.serving import receive_until, say, serving, simulating

WAIT_S = 30.0


class DeadUpstream:
    """A server whose kernel takes every connection, and which never answers."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.url = f"ws://127.0.0.1:{self._listening.getsockname()[1]}"

    def connections(self):
        """Count the connections since the last look."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listening.accept()[0].close()
                count += 1
        return count

    def close(self):
        self._listening.close()


@pytest.fixture
def dead():
    with contextlib.closing(DeadUpstream()) as found:
        yield found


def call(url):
    """Hold one call up to its Settings."""
    with connect(url, open_timeout=WAIT_S) as client:
        say(client, **SETTINGS)
        return receive_until(client, "SettingsApplied")


def test_after_one_call_waited_for_a_dead_upstream_no_new_call_does(dead):
    with simulating() as living:
        upstreams = (Upstream(url=dead.url), Upstream(url=living.url))
        with serving(upstreams=upstreams, deadlines=Deadlines(dial_s=1.0)) as (router, url):
            call(url)
            assert dead.connections() == 1
            for _ in range(5):
                call(url)
            assert dead.connections() == 0
            assert len(living.connections) == 6
            first, second = router.operator.upstreams()
            assert [it["keys"][0]["breaker"] for it in (first, second)] == ["open", "closed"]


def test_with_every_upstream_dead_a_call_ends_with_a_typed_error(dead):
    with contextlib.closing(DeadUpstream()) as other:
        upstreams = (Upstream(url=dead.url), Upstream(url=other.url))
        deadlines = Deadlines(dial_s=0.5)
        with serving(upstreams=upstreams, deadlines=deadlines, restarts=1) as (_router, url):
            for _ in range(2):
                with connect(url, open_timeout=WAIT_S) as client:
                    say(client, **SETTINGS)
                    assert receive_until(client, "Error")[-1]["code"] == "UPSTREAM_UNAVAILABLE"
            # Each call tried both, although the second one knew that both had failed.
            assert (dead.connections(), other.connections()) == (2, 2)


def test_a_call_whose_key_is_refused_continues_with_another_and_new_calls_take_that_one():
    # As the service does, the simulator takes the handshake and refuses the key behind it.
    with simulating(required_key="the-good-key") as simulator:
        keys = Secret("the-bad-key"), Secret("the-good-key")
        upstream = Upstream(url=simulator.url, api_key=keys[0], further_keys=keys[1:])
        with serving(upstreams=(upstream,)) as (router, url):
            for _ in range(3):
                call(url)
            (row,) = router.operator.upstreams()
            assert [it["breaker"] for it in row["keys"]] == ["open", "closed"]
            assert row["dials"] == {"ok": 4}
