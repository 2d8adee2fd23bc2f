"""Cookies of websocket-client: our dials keep and send none, other users of the library keep theirs."""

import queue

import pytest
import websocket

from actors.connections.upstream import DialTarget, dial
from tests.support.engine.links import answer_handshake

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def empty_jar(monkeypatch):
    """The library's jar is empty at first, and restored afterwards: it is one for the whole process."""
    monkeypatch.setattr(websocket._handshake.CookieJar._jar, "jar", {})


@pytest.fixture
def server_with_a_cookie(raw_server):
    """Return a function that starts a server which sets a cookie, and a queue of the heads that servers got."""
    heads = queue.SimpleQueue()

    def start():
        set_cookie = b"Set-Cookie: sid=1; Domain=localhost\r\n"
        return raw_server(lambda sock: heads.put(answer_handshake(sock, set_cookie)))

    return start, heads


def has_cookie(heads):
    return b"Cookie: sid=1" in heads.get(timeout=5)


def test_no_cookie_goes_from_one_dial_to_the_next(server_with_a_cookie):
    start, heads = server_with_a_cookie
    sent = []
    for _ in range(2):
        dial(DialTarget(url=f"ws://localhost:{start()}/")).abort()
        sent.append(has_cookie(heads))
    assert sent == [False, False]


def test_other_users_of_the_library_keep_their_cookies(server_with_a_cookie):
    start, heads = server_with_a_cookie
    sent = []
    for _ in range(2):
        websocket.create_connection(f"ws://localhost:{start()}/", timeout=5).shutdown()
        sent.append(has_cookie(heads))
    assert sent == [False, True]


def test_a_dial_sends_no_cookie_of_another_user(server_with_a_cookie):
    start, heads = server_with_a_cookie
    websocket.create_connection(f"ws://localhost:{start()}/", timeout=5).shutdown()
    assert not has_cookie(heads)
    dial(DialTarget(url=f"ws://localhost:{start()}/")).abort()
    assert not has_cookie(heads)
