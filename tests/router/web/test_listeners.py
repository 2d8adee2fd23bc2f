"""The sockets of the server, the sentences of their failures, and the limit of open files."""

import resource
import socket

import pytest

from router.config.model import RouterConfig
from router.errors import StartError
from router.web import listeners

pytestmark = pytest.mark.slow


def test_the_pages_of_administrators_have_a_socket_of_their_own_where_that_is_asked_for():
    listener, admin = listeners.sockets(RouterConfig(host="127.0.0.1", port=0))
    with listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert admin is None
    listener, admin = listeners.sockets(RouterConfig(host="127.0.0.1", port=0, admin_bind="127.0.0.1:0"))
    with listener, admin:
        assert listener.getsockname()[1] != admin.getsockname()[1]


def test_an_address_in_use_is_a_sentence_with_a_remedy():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1, port {port}: .*choose another with --port"):
            listeners.sockets(RouterConfig(host="127.0.0.1", port=port))


def test_a_host_that_is_no_address_of_this_machine_is_a_sentence_with_a_remedy():
    with pytest.raises(StartError, match=r"192\.0\.2\.1.*must be an address of this machine"):
        listeners.sockets(RouterConfig(host="192.0.2.1", port=0))


def test_the_limit_of_open_files_is_raised_and_never_lowered(monkeypatch):
    changes = []
    limits = {"now": (1024, 1 << 20)}
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, pair: changes.append(pair))
    listeners.raise_open_files_limit()
    assert changes == [(listeners.OPEN_FILES, 1 << 20)]
    for now in ((listeners.OPEN_FILES, 1 << 20), (4096, 4096), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)):
        limits["now"] = now
        listeners.raise_open_files_limit()
    assert len(changes) == 1
