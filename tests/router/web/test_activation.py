"""Listening sockets that systemd passes to the server."""

import contextlib
import fcntl
import os
import socket
import sys
import urllib.request

import pytest

from router.errors import StartError
from router.web import activation
from tests.support.processes.children import RUN_PY, child

pytestmark = pytest.mark.slow

FREE_FROM = 700
"""The first of many descriptors that nothing else has."""

AS_SYSTEMD = """
import os, sys
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": sys.argv[1], "LISTEN_FDNAMES": sys.argv[2]}
given = [int(it) for it in sys.argv[3].split(",")]
for place, descriptor in enumerate(given):
    os.dup2(descriptor, 3 + place)
os.execv(sys.executable, [sys.executable, *sys.argv[4:]])
"""


def variables(count, names=""):
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names}


@pytest.fixture
def passed(monkeypatch):
    """Make sockets whose descriptors follow one another, as those of systemd do."""
    with contextlib.ExitStack() as stack:

        def make(*sockets):
            # The next numbers may belong to others in this process, for example to the channel of a fork server.
            copies = [fcntl.fcntl(it.fileno(), fcntl.F_DUPFD, FREE_FROM) for it in sockets]
            first = copies[0]
            assert copies == list(range(first, first + len(copies)))
            for each in sockets:
                each.close()
            stack.callback(close_all, copies)
            monkeypatch.setattr(activation, "FIRST", first)

        yield make


def close_all(descriptors):
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_without_systemd_there_is_no_socket():
    assert activation.take({}) == {}


def test_sockets_for_another_process_are_left_alone_and_the_variables_removed():
    environ = {**variables(1), "LISTEN_PID": "1", "OTHER": "stays"}
    assert activation.take(environ) == {}
    assert environ == {"OTHER": "stays"}


def test_each_socket_has_its_use_by_its_name(passed):
    passed(socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0)))
    taken = activation.take(variables(2, "admin:switchboard.socket"))
    with taken[activation.PAGES] as pages, taken[activation.ADMIN] as admin:
        assert pages.fileno() == admin.fileno() + 1
        assert not os.get_inheritable(pages.fileno())


def test_two_main_sockets_are_refused(passed):
    passed(socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0)))
    with pytest.raises(StartError, match="FileDescriptorName=admin"):
        activation.take(variables(2))


def test_a_socket_that_does_not_listen_is_refused(passed):
    passed(socket.socket())
    with pytest.raises(StartError, match="ListenStream=PORT"):
        activation.take(variables(1))


def test_a_socket_beyond_this_machine_needs_a_host_that_says_so():
    with socket.create_server(("0.0.0.0", 0)) as listener:
        with pytest.raises(StartError, match=r"set --host 0\.0\.0\.0, and authentication"):
            activation.check_address(listener, "127.0.0.1")
        activation.check_address(listener, "0.0.0.0")


def test_the_command_serves_on_the_sockets_of_systemd_and_tells_it_that_it_is_ready(tmp_path):
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.settimeout(30.0)
    notified.bind(str(tmp_path / "notify"))
    with notified, socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())
        os.set_inheritable(listener.fileno(), True)
        argv = [
            sys.executable,
            "-c",
            AS_SYSTEMD,
            "1",
            "main",
            str(listener.fileno()),
            RUN_PY,
            "--upstream",
            "simulator",
        ]
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with child(*argv, env=env, pass_fds=[listener.fileno()]) as process:
            assert b"READY=1" in notified.recv(1000)
            with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as response:
                assert response.read() == b"ok\n"
            assert process.stop() == 0, process.output
