"""The request to the URL of a check: its deadline, and its connections."""

import contextlib
import socket
import threading

import pytest

from router.guard.asking import GuardCheckError, GuardUrl

pytestmark = pytest.mark.slow

WAIT_S = 30.0
NULL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"


class Server:
    """A server that does `behave(sock, number)` with each connection."""

    def __init__(self, behave):
        self.connections = 0
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/check?a=b"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self.connections += 1
                with sock, contextlib.suppress(OSError):
                    sock.settimeout(WAIT_S)
                    self._behave(sock)

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)
        self._listening.close()


@pytest.fixture
def served(stack):
    return lambda behave: stack.enter_context(contextlib.closing(Server(behave)))


@pytest.fixture
def stack():
    with contextlib.ExitStack() as found:
        yield found


def drip(sock):
    """Send a byte of an endless head now and then, until the other side is gone."""
    gone = threading.Event()
    sock.recv(4096)
    with contextlib.suppress(OSError):
        sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not gone.wait(0.02):
            sock.sendall(b"x")


def test_a_server_that_drips_holds_no_thread_beyond_the_deadline(served):
    server = served(drip)
    url = GuardUrl(server.url, timeout_s=0.2)
    # The test's own time-out would end a thread that is held without end.
    with pytest.raises(GuardCheckError, match="it is late"):
        url.ask({"text": "hello"})


def test_a_connection_serves_one_check_after_another(served):
    def answer(sock):
        while sock.recv(4096):
            sock.sendall(NULL)

    server = served(answer)
    url = GuardUrl(server.url, timeout_s=WAIT_S)
    assert [url.ask({"text": "hello"}) for _ in range(3)] == [None] * 3
    assert server.connections == 1
    del url


def test_a_connection_that_the_server_closed_is_not_used_again(served):
    def answer_once(sock):
        sock.recv(4096)
        sock.sendall(NULL)

    server = served(answer_once)
    url = GuardUrl(server.url, timeout_s=WAIT_S)
    for _ in range(2):
        assert url.ask({"text": "hello"}) is None
        closed = threading.Event()
        while url._idle and url._idle[0].is_connected:
            assert not closed.wait(0.01)
    assert server.connections == 2


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"])
def test_a_broken_answer_is_no_verdict(served, answer):
    server = served(lambda sock: (sock.recv(4096), sock.sendall(answer)))
    with pytest.raises(GuardCheckError, match="gave no verdict"):
        GuardUrl(server.url, timeout_s=WAIT_S).ask({"text": "hello"})
