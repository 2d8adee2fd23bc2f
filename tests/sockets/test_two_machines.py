"""Two servers on hosts of their own that share nothing but Redis: their limits hold together, from outside.

The hosts are network namespaces where they are permitted.
"""

import json
import shutil
import sys
from contextlib import ExitStack
from threading import Event
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from router.config.auth import digest
from router.simulator import Simulator, SimulatorConfig
from tests.support.processes.children import RUN_PY
from tests.support.processes.further import further
from tests.support.processes.hosts import hosts

REDIS = shutil.which("redis-server")
TIMEOUT_S = 20.0
LEASE_S = 30.0
"""A session of a machine that has died counts no longer than this (`redis_counts.LEASE_S`)."""
TOKEN = "the-token-of-alice"  # noqa: S105 - of servers that live for a test
HOSTS = {"redis": 20, "one": 11, "other": 12}
SETTINGS = """
[auth]
secret = "the-secret-of-both-machines"
[auth.tokens.alice]
sha256 = "{hash}"
admin = true

[limits]
store = "redis://{redis}:6379/0"
store_away = "{away}"
max_sessions_per_principal = 3
"""

pytestmark = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed (Debian's redis-server)")


class Fleet:
    """Two servers of two workers each, and Redis. The callers are on a separate host."""

    def __init__(self, stack, folder, away):
        self._stack = stack
        self.network = network = stack.enter_context(hosts(HOSTS))
        redis = network.address(HOSTS["redis"])
        flags = ("--bind", redis, "--protected-mode", "no", "--save", "", "--appendonly", "no")
        process = stack.enter_context(network.run("redis", REDIS, *flags))
        process.wait_for("Ready to accept connections")
        simulator = Simulator(SimulatorConfig(host=network.address(1)))
        network.submit(simulator.start).result()
        stack.callback(simulator.close)
        self._file = folder / "router.toml"
        self._file.write_text(SETTINGS.format(hash=digest(TOKEN), redis=redis, away=away))
        self._upstream = simulator.url
        self._sessions = stack.enter_context(ExitStack())

    def start(self, host):
        """Start a server on its host."""
        flags = ("--host", self.network.address(HOSTS[host]), "--port", "8080", "--workers", "2")
        argv = (sys.executable, RUN_PY, *flags, "--config", self._file, "--upstream", self._upstream)
        process = self._stack.enter_context(self.network.run(host, *argv))
        process.wait_for_lines(r"worker \d+ serves", 2)
        return process

    def call(self, host, *, stays=False, token=TOKEN):
        """Return 101, or the status of the refusal."""
        return self.network.submit(lambda: self._call(host, stays, token)).result(TIMEOUT_S * 2)

    def grant(self, host):
        """Return a single-use token that a server makes."""
        url = f"http://{self.network.address(HOSTS[host])}:8080/v1/auth/grant"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = Request(url, data=b'{"single_use": true, "ttl_seconds": 300}', headers=headers)
        page = self.network.submit(lambda: urlopen(request, timeout=TIMEOUT_S).read()).result()  # noqa: S310
        return json.loads(page)["access_token"]

    def _call(self, host, stays, token):
        url = f"ws://{self.network.address(HOSTS[host])}:8080/openai?token={token}"
        with ExitStack() as own:
            try:
                (self._sessions if stays else own).enter_context(connect(url, open_timeout=TIMEOUT_S))
            except InvalidStatus as refused:
                return refused.response.status_code
        return 101

    def hang_up(self):
        """End the sessions that stay."""
        self._sessions.close()

    def failures(self, host):
        """Return the new sessions of a server for which Redis did not answer."""
        request = Request(
            f"http://{self.network.address(HOSTS[host])}:8080/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        page = self.network.submit(lambda: urlopen(request, timeout=TIMEOUT_S).read().decode()).result()  # noqa: S310
        name = "switchboard_limits_store_failures_total "
        return next(float(line.removeprefix(name)) for line in page.splitlines() if line.startswith(name))

    def wait_until(self, status, host, *, within_s=TIMEOUT_S):
        """Call again and again until the server answers with a status."""
        tries = Event()
        for _ in range(int(within_s / 0.2)):
            if self.call(host) == status:
                return
            tries.wait(0.2)
        raise AssertionError(f"no call on {host} was answered with {status}")


def test_two_machines_have_one_limit_per_principal(tmp_path):
    with ExitStack() as stack:
        fleet = Fleet(stack, tmp_path, "open")
        for host in ("one", "other"):
            fleet.start(host)
        assert [fleet.call(host, stays=True) for host in ("one", "other", "one")] == [101, 101, 101]
        assert [fleet.call(host) for host in ("one", "other")] == [429, 429]
        fleet.hang_up()
        fleet.wait_until(101, "other")


def test_a_token_for_one_session_opens_one_on_all_machines(tmp_path):
    with ExitStack() as stack:
        fleet = Fleet(stack, tmp_path, "open")
        for host in ("one", "other"):
            fleet.start(host)
        token = fleet.grant("one")
        assert [fleet.call(host, token=token) for host in ("other", "one", "other")] == [101, 401, 401]
        token = fleet.grant("other")
        assert [fleet.call("one", stays=True) for _ in range(3)] == [101, 101, 101]
        assert fleet.call("one", token=token) == 429
        fleet.hang_up()
        fleet.wait_until(101, "other")
        assert [fleet.call(host, token=token) for host in ("other", "one")] == [101, 401]


@pytest.mark.parametrize(("away", "status"), [("open", 101), further("closed", 503)])
def test_machines_without_redis_do_as_configured_count_it_and_count_together_again(tmp_path, away, status):
    with ExitStack() as stack:
        fleet = Fleet(stack, tmp_path, away)
        for host in ("one", "other"):
            fleet.start(host)
        assert [fleet.call(host, stays=True) for host in ("one", "one", "one")] == [101, 101, 101]
        fleet.network.cut("redis")
        assert fleet.call("other") == status
        assert fleet.failures("other") == 1
        if away == "open":
            assert fleet.call("one") == 429  # the server has counted its own sessions all the time
        fleet.network.mend("redis")
        fleet.wait_until(429, "other")
        fleet.hang_up()
        fleet.wait_until(101, "other")


@pytest.mark.exhaustive
def test_the_sessions_of_a_machine_that_dies_count_no_longer_than_their_lease(tmp_path):
    with ExitStack() as stack:
        fleet = Fleet(stack, tmp_path, "open")
        one = fleet.start("one")
        fleet.start("other")
        assert [fleet.call("one", stays=True) for _ in range(3)] == [101, 101, 101]
        assert fleet.call("other") == 429
        one.kill()
        fleet.wait_until(101, "other", within_s=LEASE_S + TIMEOUT_S)
