"""The upgrade of a request, and the threads of a server that sessions hold."""

import contextlib
import socket
import ssl
from http import HTTPStatus

import pytest

from actors.connections.handover import HandshakeRefused
from router.web.upgrade import HeldServerThreads, upgrade

pytestmark = pytest.mark.slow


class Refusing:
    """A router that refuses every request."""

    def __init__(self, failure):
        self._failure = failure

    def accept(self, *_given, **_more):
        raise self._failure

    def count_refusal(self, _status):
        """Count nothing."""


@pytest.fixture
def sockets():
    """Two sockets as a server has them: a plain one, and one with TLS, whose handshake was not needed."""
    plain, other = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    first, second = socket.socketpair()
    tls = context.wrap_socket(first, server_side=True, do_handshake_on_connect=False)
    yield {"gunicorn.socket": plain}, {"gunicorn.socket": tls, "wsgi.multithread": True}
    for sock in (plain, other, tls, second):
        sock.close()


def test_a_socket_that_can_be_taken_over_holds_no_thread(sockets):
    plain, _ = sockets
    with HeldServerThreads(0).hold(plain):
        pass


def test_as_many_threads_are_held_as_the_limit_says_and_are_free_afterwards(sockets):
    _, tls = sockets
    threads = HeldServerThreads(2)
    with threads.hold(tls):
        with threads.hold(tls):
            with pytest.raises(HandshakeRefused, match="all 2 threads for TLS in this server are held") as caught:
                threads.hold(tls).__enter__()
            assert (caught.value.status, caught.value.headers) == (503, (("Retry-After", "10"),))
        with threads.hold(tls):
            pass


def test_a_session_that_fails_frees_its_thread(sockets):
    _, tls = sockets
    threads = HeldServerThreads(1)
    with contextlib.suppress(ZeroDivisionError), threads.hold(tls):
        raise ZeroDivisionError
    with threads.hold(tls):
        pass


def test_a_request_without_a_socket_is_refused_with_501():
    with pytest.raises(HandshakeRefused) as caught:
        HeldServerThreads(1).hold({}).__enter__()
    assert caught.value.status == 501


@pytest.mark.parametrize(
    ("failure", "status", "body"),
    [
        (HandshakeRefused(403, "this origin is not allowed"), HTTPStatus.FORBIDDEN, "this origin is not allowed\n"),
        (
            ZeroDivisionError(),
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "Internal error; the server logged it.\n",
        ),
    ],
)
def test_a_failure_of_an_upgrade_becomes_the_response(failure, status, body):
    response = upgrade(Refusing(failure), "openai", {"PATH_INFO": "/openai"})
    assert (response.status, response.body, response.session_id) == (status, body, None)
