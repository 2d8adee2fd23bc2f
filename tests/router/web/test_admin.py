"""The pages for administrators on an address of their own."""

import http.client
import socket
from contextlib import closing, contextmanager

import pytest

from router.web.admin import MAX_REQUESTS, AdminServer

pytestmark = pytest.mark.slow

TIMEOUT_S = 5.0


def page(environ, start_response):
    if environ["PATH_INFO"] == "/broken":
        raise ZeroDivisionError
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['PATH_INFO']} for {environ['REMOTE_ADDR']}".encode()]


@contextmanager
def serving(app=page):
    server = AdminServer(socket.create_server(("127.0.0.1", 0)), app)
    server.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def get(port, path="/healthz"):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


def test_a_page_is_served():
    with serving() as port:
        assert get(port) == (200, b"/healthz for 127.0.0.1")


def test_a_page_that_fails_is_a_500_and_is_logged(caplog):
    with serving() as port:
        assert get(port, "/broken")[0] == 500
        assert get(port)[0] == 200
    assert "ZeroDivisionError" in caplog.text


def test_silent_connections_do_not_keep_a_probe_out():
    with serving() as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(MAX_REQUESTS - 1)]
        assert get(port)[0] == 200
        for sock in silent:
            sock.close()


def test_two_processes_may_accept_from_one_listener():
    listener = socket.create_server(("127.0.0.1", 0))
    servers = [AdminServer(one, page) for one in (listener, listener.dup())]
    for server in servers:
        server.start()
    for _ in range(5):
        assert get(servers[0].server_port)[0] == 200
    for server in servers:
        server.shutdown()
        server.server_close()
