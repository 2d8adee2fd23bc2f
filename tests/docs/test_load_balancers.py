"""The shipped configurations of HAProxy and nginx, in front of three routers on hosts of their own.

Each router is restarted in turn, one is cut off from the network, one is shot, while callers talk.
"""

import contextlib
import signal
import socket
import ssl
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from router.simulator import Simulator, SimulatorConfig
from tests.support.clients.callers import Callers
from tests.support.processes.children import RUN_PY, child
from tests.support.processes.haproxy_front import haproxy_program
from tests.support.processes.hosts import hosts
from tests.support.processes.tls_front import nginx_program

pytestmark = [pytest.mark.slow, pytest.mark.long]

SHIPPED = Path(__file__).parents[2] / "docs/deployment"
NAME = "voice.example.com"
NUMBERS = {"front": 10, "router1": 11, "router2": 12, "router3": 13}
ROUTERS = ("router1", "router2", "router3")
DRAIN_S = 8
WAIT_S = 90.0
WITHOUT_CALL_S = 2.0
"""The longest time without a call for a caller whose socket died."""

WHOLE = [pytest.mark.exhaustive, pytest.mark.alone]
"""The whole exercise measures time."""

NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr notice;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/switchboard.conf;
}}
"""


def read(name, network, folder):
    """Return a shipped configuration with the addresses of these hosts, and with the certificate in a folder."""
    text = network.in_text((SHIPPED / name).read_text())
    for path in ("/etc/haproxy/", "/etc/nginx/", "/run/haproxy/"):
        text = text.replace(path, f"{folder}/")
    return text


def write_certificate(folder):
    certificate = trustme.CA().issue_cert(NAME)
    key, chain = certificate.private_key_pem.bytes(), b"".join(it.bytes() for it in certificate.cert_chain_pems)
    (folder / f"{NAME}.key").write_bytes(key)
    (folder / f"{NAME}.pem").write_bytes(chain + key)


@contextlib.contextmanager
def haproxy(network, folder):
    (folder / "haproxy.cfg").write_text(read("haproxy.cfg", network, folder))
    with network.run("front", haproxy_program(), "-db", "-f", folder / "haproxy.cfg") as process:
        yield process
        process.stop(signal.SIGUSR1, timeout_s=20)


@contextlib.contextmanager
def nginx(network, folder):
    (folder / "switchboard.conf").write_text(read("nginx.conf", network, folder))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    network.set_kernel("front", (SHIPPED / "nginx-sysctl.conf").read_text())
    with network.run("front", nginx_program(), "-p", folder, "-c", folder / "nginx.conf") as process:
        yield process
        process.stop()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_until_it_listens(process, address):
    for _ in range(200):
        with contextlib.closing(socket.socket()) as sock:
            if sock.connect_ex((address, 443)) == 0:
                return
        Event().wait(0.05)
    raise TimeoutError(process.output)


class Fleet:
    """The routers, each on its host."""

    def __init__(self, network, upstream):
        self._network = network
        self._upstream = upstream
        self._running = {}

    def start(self, host):
        flags = {
            "--host": self._network.address(NUMBERS[host]),
            "--port": "8080",
            "--allow-host": NAME,
            "--trusted-proxy": f"{self._network.address(NUMBERS['front'])}/32",
            "--upstream": self._upstream,
            "--drain-s": str(DRAIN_S),
        }
        argv = [part for flag in flags.items() for part in flag]
        stack = contextlib.ExitStack()
        process = stack.enter_context(self._network.run(host, sys.executable, RUN_PY, "--insecure", *argv))
        self._running[host] = stack, process
        process.wait_for(r"worker \d+ serves")

    def restart(self, host):
        stack, process = self._running.pop(host)
        assert process.stop(timeout_s=DRAIN_S + 10) == 0, process.output
        stack.close()
        self.start(host)

    def shoot(self, host):
        stack, _ = self._running.pop(host)
        stack.close()  # its group is killed

    def close(self):
        for stack, _ in self._running.values():
            stack.close()


@contextlib.contextmanager
def machine(port, calls):
    """Run a stand-in for a router, which notes the port of each call."""

    def note(connection):
        calls.append(port)
        with contextlib.suppress(ConnectionClosed):
            connection.recv()

    with serve(note, "127.0.0.1", port) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(nginx_program() is None, reason="nginx is not installed (Debian's nginx-light)")
def test_nginx_gives_a_machine_that_failed_its_share_of_calls_again():
    front, *ports = (free_port() for _ in range(4))
    calls = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        write_certificate(folder)
        text = (SHIPPED / "nginx.conf").read_text().replace("/etc/nginx/", f"{folder}/")
        for number, port in zip((11, 12, 13), ports, strict=True):
            text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{port}")
        (folder / "switchboard.conf").write_text(text.replace("listen 443", f"listen 127.0.0.1:{front}"))
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
        process = stack.enter_context(child(nginx_program(), "-p", folder, "-c", folder / "nginx.conf"))
        process.wait_for("using the")
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

        def call():
            stack.enter_context(connect(f"wss://127.0.0.1:{front}/openai", ssl=trusting))

        stack.enter_context(machine(ports[0], calls))
        for _ in range(2):
            call()
        for port in ports[1:]:
            stack.enter_context(machine(port, calls))
        for _ in range(7):
            call()
    assert [calls.count(port) for port in ports] == [3, 3, 3]


@pytest.mark.skipif(haproxy_program() is None, reason="haproxy is not installed (Debian's haproxy)")
@pytest.mark.skipif(nginx_program() is None, reason="nginx is not installed (Debian's nginx-light)")
@pytest.mark.parametrize(
    ("front", "count", "restarted", "slowest_s"),
    [
        (haproxy, 6, ROUTERS[:1], WAIT_S),
        pytest.param(nginx, 6, ROUTERS[:1], WAIT_S, marks=pytest.mark.exhaustive),
        pytest.param(haproxy, 60, ROUTERS, WITHOUT_CALL_S, marks=WHOLE),
        pytest.param(nginx, 60, ROUTERS, WITHOUT_CALL_S, marks=WHOLE),
    ],
)
def test_callers_go_on_talking_as_each_machine_restarts_is_cut_off_or_dies(front, count, restarted, slowest_s):
    with contextlib.ExitStack() as stack:
        # HAProxy's socket needs a short path.
        folder = Path(stack.enter_context(TemporaryDirectory()))
        write_certificate(folder)
        network = stack.enter_context(hosts(NUMBERS))
        here = network.address(1)
        simulator = Simulator(SimulatorConfig(host=here))
        network.submit(simulator.start).result()
        stack.callback(simulator.close)
        fleet = Fleet(network, simulator.url)
        stack.callback(fleet.close)
        for host in ROUTERS:
            fleet.start(host)
        process = stack.enter_context(front(network, folder))
        address = network.address(NUMBERS["front"])
        network.submit(lambda: wait_until_it_listens(process, address)).result()
        url = f"wss://{NAME}/openai"
        callers = Callers(count, url, host=address, port=443)
        talk = network.submit(callers.run)
        stack.callback(callers.stop)
        callers.wait_for_answers(WAIT_S)
        for host in restarted:
            fleet.restart(host)
            callers.wait_for_answers(WAIT_S)
        network.cut("router1")
        callers.wait_for_answers(WAIT_S)
        network.mend("router1")
        fleet.shoot("router2")
        callers.wait_for_answers(WAIT_S)
        callers.stop()
        talk.result(WAIT_S)
    for caller in callers.all:
        assert (caller.refused, caller.failed, caller.lost) == ([], [], []), caller
        assert caller.answered == list(range(len(caller.answered)))
        assert len(caller.closes) == len(caller.without_call_s)
        assert max(caller.without_call_s, default=0.0) < slowest_s, caller
    assert sum(len(it.closes) for it in callers.all) > count / 2
