"""HAProxy and nginx with TLS in front: an upgrade survives, and limits see the address of the client."""

import socket
from contextlib import ExitStack
from functools import partial

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from router.simulator import Simulator, SimulatorConfig
from tests.support.clients.tls import trusting
from tests.support.clients.voice_agent import OPENAI, VoiceAgent, hold_text_turn
from tests.support.processes.children import router
from tests.support.processes.haproxy_front import haproxy, haproxy_program
from tests.support.processes.tls_front import nginx, nginx_program

TIMEOUT_S = 20.0

NEEDS_HAPROXY = pytest.mark.skipif(haproxy_program() is None, reason="haproxy is not installed (Debian's haproxy)")
NEEDS_NGINX = pytest.mark.skipif(nginx_program() is None, reason="nginx is not installed (Debian's nginx-light)")
FRONTS = [
    pytest.param(partial(haproxy, proxy_protocol=False), id="HAProxy, X-Forwarded-For", marks=NEEDS_HAPROXY),
    pytest.param(partial(haproxy, proxy_protocol=True), id="HAProxy, PROXY protocol", marks=NEEDS_HAPROXY),
    pytest.param(nginx, id="nginx", marks=NEEDS_NGINX),
]


def call(address, source):
    """Connect from an address of this machine."""
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), timeout=TIMEOUT_S, source_address=(source, 0))
    return connect(f"wss://{address}/openai", sock=sock, ssl=trusting(), open_timeout=TIMEOUT_S)


@pytest.mark.parametrize("proxy", FRONTS)
def test_an_upgrade_survives_and_each_client_has_the_limit_of_its_own_address(tmp_path, proxy):
    path = tmp_path / "router.toml"
    path.write_text("[limits]\nmax_sessions_per_address = 1\n")
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(SimulatorConfig()))
        flags = ("--config", str(path), "--upstream", simulator.url, "--trusted-proxy", "127.0.0.1/32")
        running = stack.enter_context(router(*flags))
        front = stack.enter_context(proxy(running.address))
        first = VoiceAgent(stack.enter_context(call(front, "127.0.0.2")), OPENAI)
        stack.enter_context(call(front, "127.0.0.3"))
        with pytest.raises(InvalidStatus) as refused, call(front, "127.0.0.2"):
            pass
        assert refused.value.response.status_code == 429
        first.start()
        assert hold_text_turn(first, "Is anybody there?").audio
