"""Two servers that share nothing but Redis: their limits hold together, from outside."""

from contextlib import ExitStack
from threading import Event

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from router.simulator import Simulator, SimulatorConfig
from tests.support.processes.children import router
from tests.support.processes.redis_server import redis_server

TIMEOUT_S = 20.0
TOKENS = {"ROUTER_TOKENS": "alice=the-token-of-alice"}


def status_of(address, stack=None):
    """Return 101, or the status of the refusal. With a stack the session stays."""
    with ExitStack() as own:
        url = f"ws://{address}/openai?token=the-token-of-alice"
        try:
            (stack or own).enter_context(connect(url, open_timeout=TIMEOUT_S))
        except InvalidStatus as refused:
            return refused.response.status_code
        return 101


def test_two_servers_of_two_workers_have_one_limit_per_principal(tmp_path):
    path = tmp_path / "router.toml"
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        path.write_text(f'[limits]\nstore = "{redis.url}"\nmax_sessions_per_principal = 3\n')
        simulator = stack.enter_context(Simulator(SimulatorConfig()))
        flags = ("--config", str(path), "--upstream", simulator.url, "--auth", "token", "--workers", "2")
        one, other = (stack.enter_context(router(*flags, env=TOKENS)).address for _ in range(2))
        sessions = stack.enter_context(ExitStack())
        assert [status_of(address, sessions) for address in (one, other, one)] == [101, 101, 101]
        assert [status_of(address) for address in (one, other)] == [429, 429]
        sessions.close()
        tries = Event()
        while status_of(other) == 429:
            assert not tries.wait(0.05)
