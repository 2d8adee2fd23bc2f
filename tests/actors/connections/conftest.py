"""Links of every kind, sockets, authorities and servers that misbehave."""

import contextlib
import socket
import ssl
import threading

import pytest
import trustme

from actors.connections.base import ConnectionLimits
from tests.support.engine import links
from tests.support.engine.dispatching import on


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def tls(authority):
    """The TLS contexts of the server and of the client."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def pair(stack):
    """Two ends of a socket pair: ours, theirs."""
    return [stack.enter_context(sock) for sock in socket.socketpair()]


@pytest.fixture
def sockets(stack, tls):
    """Return a function that makes two connected sockets of a kind: the server's and the client's."""
    makers = {
        "unix": lambda: tuple(stack.enter_context(sock) for sock in socket.socketpair()),
        "tcp": lambda: links.tcp_pair(stack),
        "tls": lambda: links.tls_pair(stack, tls),
    }
    return lambda kind: makers[kind]()


@pytest.fixture
def raw_server(stack):
    """Return a function that starts a server which does `behave(sock)` with its first connection; its port."""

    def start(behave):
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def run():
            with contextlib.suppress(OSError):
                sock, _ = listening.accept()
                with sock:
                    sock.settimeout(5)
                    behave(sock)

        thread = threading.Thread(target=run)
        thread.start()
        stack.callback(thread.join, 5)
        stack.callback(lambda: socket.socket.shutdown(listening, socket.SHUT_RDWR))
        return listening.getsockname()[1]

    return start


@pytest.fixture
def recorder():
    return links.Recorder()


@pytest.fixture(params=[it if it == "memory" else pytest.param(it, marks=pytest.mark.slow) for it in links.KINDS])
def kind(request):
    return request.param


@pytest.fixture
def make_link(dispatcher, stack, sockets):
    """Return a function that makes a link of a kind. No connection outlives the test."""
    made = []

    def make(kind, **limits):
        connection, peer = links.make_pair(kind, ConnectionLimits(**limits), stack, sockets)
        made.append(links.Link(connection, peer, dispatcher))
        return made[-1]

    yield make
    for link in made:
        link.do(link.connection.abort)
        on(dispatcher, lambda: None)
        assert len(link.listener.closings) <= 1


@pytest.fixture
def link(make_link, kind):
    """An open link of each kind, with the default limits."""
    return make_link(kind).open()
