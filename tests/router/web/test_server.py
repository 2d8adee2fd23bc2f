"""gunicorn, driven as the command drives it, in front of a stand-in router."""

import http.client
import os
import re
import shutil
import signal
import socket
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.processes.children import child
from tests.support.processes.further import further

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[3]
STAND_IN = REPOSITORY / "tests" / "support" / "processes" / "web_server.py"
TIMEOUT_S = 10.0

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
GOING_AWAY = b"\x88\x02\x03\xe9"


class Server:
    """The command as a process, and connections to it."""

    def __init__(self, process):
        self.process = process
        self.port = int(process.wait_for(r"listens on http://127\.0\.0\.1:(\d+)")[1])
        self.worker = process.wait_for(r"^router (\d+) ")[1]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)

    @contextmanager
    def http(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            yield connection
        finally:
            connection.close()

    def get(self, path):
        with self.http() as connection:
            return get(connection, path)

    def web_socket(self, path="/openai"):
        """Open a WebSocket; return its socket and the first line that came over it."""
        sock = self.connect()
        sock.sendall(UPGRADE.format(path=path).encode())
        assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        return sock, read_until(sock, b"\n").decode().strip()

    def wait_for_another_worker(self):
        self.process.wait_for(rf"^router (?!{self.worker} )")

    @property
    def complaints(self):
        """The lines at a level that an operator has to look at."""
        return [
            line for line in self.process.output.splitlines() if re.search("warning|error|critical|Traceback", line)
        ]


def read_until(sock, end):
    """Read no further: a close frame may be right behind the line."""
    received = b""
    while not received.endswith(end):
        piece = sock.recv(1)
        assert piece, f"the server closed behind {received}"
        received += piece
    return received


def get(connection, path):
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


@contextmanager
def running(*faults, program=STAND_IN):
    env = {"PYTHONPATH": str(REPOSITORY)}
    with child(sys.executable, "-X", "dev", "-W", "always", program, *faults, env=env) as process:
        yield Server(process)


@pytest.fixture(scope="module")
def lasting_server():
    """A server for all tests that leave it as it was."""
    with running() as server:
        yield server


@pytest.fixture
def server():
    with running() as server:
        yield server


def test_web_sockets_hold_no_thread_and_leave_no_line(server):
    with ExitStack() as stack:
        for _ in range(60):
            sock, line = server.web_socket("/openai?turn_detection=manual")
            stack.enter_context(sock)
            assert line == "openai manual"
        assert server.get("/healthz") == (200, "ok\n")
    assert server.process.stop() == 0
    assert server.complaints == []


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
def test_a_worker_shares_most_of_its_memory_with_the_process_that_forked_it(lasting_server):
    """A collection after the fork would write into every object, and so copy all their memory."""
    assert lasting_server.get("/healthz")[0] == 200
    text = Path(f"/proc/{lasting_server.worker}/smaps_rollup").read_text()
    shared_kb, private_kb = (int(re.search(rf"{kind}_Dirty: +(\d+) kB", text)[1]) for kind in ("Shared", "Private"))
    assert shared_kb > private_kb


def test_both_routes_lead_to_their_profile(lasting_server):
    for path, profile in (("/openai", "openai"), ("/v1/agent/converse", "converse")):
        sock, line = lasting_server.web_socket(path)
        sock.close()
        assert line == f"{profile} None"


def test_a_plain_request_for_a_web_socket_is_answered_with_426(lasting_server):
    with lasting_server.http() as connection:
        connection.request("GET", "/openai")
        response = connection.getresponse()
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
        assert response.read() == b"a WebSocket is served here\n"


def test_a_connection_is_kept_for_the_next_request(lasting_server):
    with lasting_server.http() as connection:
        assert [get(connection, "/healthz")[0] for _ in range(3)] == [200, 200, 200]


def test_a_failure_of_the_router_costs_one_request_and_shows_no_token():
    with running("no_accept") as server:
        assert server.get("/openai?token=hunter2")[0] == 500
        assert server.get("/healthz")[0] == 200
        assert server.process.wait_for("ZeroDivisionError")
        assert "hunter2" not in server.process.output


def test_silent_connections_hold_no_thread():
    with running("one_thread") as server, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(server.connect())
        assert server.get("/healthz") == (200, "ok\n")


def test_present_sessions_survive_a_lack_of_file_descriptors():
    with running("few_files") as server:
        sock, _ = server.web_socket()
        with sock:
            with ExitStack() as stack:
                for _ in range(100):
                    stack.enter_context(server.connect())
                server.process.wait_for("cannot accept a connection: .*Too many open files")
            assert server.get("/healthz") == (200, "ok\n")
            os.kill(server.process.pid, signal.SIGTERM)
            assert sock.recv(4) == GOING_AWAY


def test_a_client_that_does_not_finish_its_request_loses_its_thread():
    with running("one_thread") as server, server.connect() as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert server.get("/healthz") == (200, "ok\n")
        assert slow.recv(1) == b""
        assert server.complaints == []


def test_slow_heads_and_bodies_delay_neither_health_nor_calls():
    body = b"POST /v1/auth/grant HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
    with running("one_thread") as server, ExitStack() as stack:
        for request in (b"GET /openai HTTP/1.1\r\nHost: ", body, b"GET /healthz HTTP/1.1\r\nContent-Length: 9\r\n\r\n"):
            for _ in range(10):
                stack.enter_context(server.connect()).sendall(request)
        assert server.get("/healthz") == (200, "ok\n")
        stack.enter_context(server.web_socket()[0])
        assert server.complaints == []


def test_a_body_that_does_not_arrive_gets_408():
    with running() as server, server.connect() as slow:
        slow.sendall(b"POST /v1/auth/grant HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
        with slow.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 408 ")
        assert server.complaints == []


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, further(signal.SIGQUIT)])
def test_a_signal_drains_the_router_and_ends_with_0(server, signum):
    sock, _ = server.web_socket()
    with sock:
        os.kill(server.process.pid, signum)
        assert sock.recv(4) == GOING_AWAY
    assert server.process.wait() == 0
    server.process.wait_for("drained")
    assert server.complaints == []


def test_ctrl_c_twice_reaches_every_process_and_cuts_nothing_short(server):
    sock, _ = server.web_socket()
    with sock:
        os.killpg(server.process.pid, signal.SIGINT)
        assert sock.recv(4) == GOING_AWAY
        os.killpg(server.process.pid, signal.SIGINT)
        server.process.wait_for("draining")
    assert server.process.wait() == 0
    server.process.wait_for("drained")
    assert server.complaints == []


def test_a_kept_connection_gets_503_during_a_drain(server):
    sock, _ = server.web_socket()
    with sock, server.http() as kept:
        assert get(kept, "/readyz")[0] == 200
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.wait_for("draining")
        status, body = get(kept, "/readyz")
        assert status == 503
        assert "draining" in body
    assert server.process.wait() == 0


def test_idle_connections_do_not_hold_up_the_end(server):
    with server.connect(), server.http() as kept, server.connect() as half:
        get(kept, "/healthz")
        half.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert server.process.stop() == 0


def test_the_process_ends_in_time_although_its_router_does_not():
    with running("no_end") as server:
        assert server.process.stop() == 0  # the arbiter would kill a late worker, before its line below
        server.process.wait_for("ending without waiting for threads: drain")


def test_a_router_that_cannot_start_ends_the_command_with_its_sentence():
    env = {"PYTHONPATH": str(REPOSITORY)}
    with child(sys.executable, STAND_IN, "no_start", env=env) as process:
        assert process.wait(timeout_s=TIMEOUT_S) not in (0, None)
        process.wait_for("the router cannot start: no dispatcher can be started")
        assert "Traceback" not in process.output


def test_an_unhealthy_worker_drains_and_is_replaced():
    with running("unhealthy") as server:
        sock, _ = server.web_socket()
        with sock:
            assert sock.recv(4) == GOING_AWAY
        server.process.wait_for("critical.*worker unhealthy, exiting")
        server.wait_for_another_worker()
        assert server.get("/healthz") == (200, "ok\n")


def test_each_worker_has_a_router_of_its_own_made_after_the_fork():
    with running("two_workers") as server:
        server.wait_for_another_worker()
        routers = re.findall(r"router (\d+) below (\d+)", server.process.output)
        assert len({worker for worker, _ in routers}) == 2
        assert {arbiter for _, arbiter in routers} == {str(server.process.pid)}
        assert server.process.stop() == 0
        assert server.complaints == []


def test_sighup_replaces_the_workers(server):
    sock, _ = server.web_socket()
    with sock:
        os.kill(server.process.pid, signal.SIGHUP)
        assert sock.recv(4) == GOING_AWAY
    server.wait_for_another_worker()
    server.process.wait_for("drained")
    assert server.get("/healthz")[0] == 200
    assert server.process.stop() == 0


def test_a_reload_imports_the_code_of_now_and_code_that_fails_leaves_the_workers_of_before(tmp_path):
    program = tmp_path / "web_server.py"
    shutil.copy(STAND_IN, program)
    written = program.read_text()
    with running(program=program) as server, ExitStack() as stack:
        stack.enter_context(server.web_socket()[0])
        program.write_text(written.replace('LINE = "router"', 'LINE = "newer"'))
        os.kill(server.process.pid, signal.SIGHUP)
        newer = int(server.process.wait_for(rf"newer (\d+) below {server.process.pid}")[1])
        server.process.wait_for("reloaded: 1 workers run the code")
        program.write_text("raise ValueError('broken on purpose')")
        os.kill(server.process.pid, signal.SIGHUP)
        server.process.wait_for("the reload changes nothing.*ValueError: broken on purpose")
        assert server.get("/healthz") == (200, "ok\n")
        os.kill(newer, signal.SIGKILL)  # its successor has its code, and not that of the disk
        server.process.wait_for(rf"newer (?!{newer} )\d+ below {server.process.pid}")
        assert server.get("/healthz")[0] in (200, 503)
        assert server.process.stop() == 0


def test_a_template_that_dies_is_replaced(server):
    os.kill(server.process.pid, signal.SIGHUP)
    server.process.wait_for("reloaded: 1 workers run the code")
    workers = {int(pid) for pid in re.findall(r"^router (\d+) ", server.process.output, re.MULTILINE)}
    for it in psutil.Process(server.process.pid).children():
        if it.pid not in workers:
            it.kill()
    server.process.wait_for("the template of the workers has died: another is started")
    server.process.wait_for_lines("reloaded: 1 workers run the code", 2)
    assert server.process.stop() == 0


def test_a_worker_that_stands_still_is_shot_and_replaced(server):
    os.kill(int(server.worker), signal.SIGSTOP)
    server.process.wait_for(rf"critical.*worker {server.worker} stood still")
    server.wait_for_another_worker()
    assert server.get("/healthz") == (200, "ok\n")
    assert server.process.stop() == 0


def test_sigusr1_logs_what_every_thread_does(lasting_server):
    os.kill(lasting_server.process.pid, signal.SIGUSR1)
    lasting_server.process.wait_for(r"worker \d+, stack of thread MainThread")
    assert lasting_server.get("/healthz")[0] == 200


def test_sigusr2_changes_the_level_of_log_lines_and_starts_no_second_router(server):
    for level in ("debug", "trace", "info"):
        os.kill(server.process.pid, signal.SIGUSR2)
        server.process.wait_for(rf"process {server.process.pid} logs from level {level} on")
        server.process.wait_for(rf"process (?!{server.process.pid})\d+ logs from level {level} on")
    assert server.process.output.count("listens on") == 1
    assert server.process.stop() == 0


def test_the_start_the_signals_and_the_drain_are_lines(server):
    server.process.wait_for(r"worker \d+ serves")
    os.kill(server.process.pid, signal.SIGHUP)
    server.process.wait_for("SIGHUP: new workers replace the old ones, which drain")
    server.process.wait_for(r"worker \d+ drains 0 sessions for up to 0 s")
    assert server.process.stop() == 0
    assert re.search(r"SIGTERM: \d workers drain for up to 0 s[\s\S]*the server has ended", server.process.output)


def test_a_worker_that_dies_is_an_error_in_the_log(server):
    worker = int(server.process.wait_for(r"router (\d+) below")[1])
    os.kill(worker, signal.SIGKILL)
    server.process.wait_for(r"worker \d+ died, others continue its calls: another replaces it")
    assert server.process.stop() == 0
