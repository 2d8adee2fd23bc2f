"""`accept` behind a real WSGI server, with `websockets` as the client, and over a socket of the test's own."""

import contextlib
import socket
from concurrent.futures import Future

import pytest
from websockets.sync.client import connect

from actors.connections.base import ConnectionClosed, Ending
from actors.connections.client import accept
from actors.connections.frames import Close, FrameParser, text_frames
from actors.connections.handover import HandshakeRefused
from tests.support.engine.links import wsgi_server

pytestmark = pytest.mark.slow

GOOD = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "localhost",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


@pytest.fixture
def served(stack):
    """Serve a WSGI application that accepts, or answers a refusal. Its URL, and a future of the connection."""
    accepted = Future()

    def application(environ, start_response):
        try:
            accepted.set_result(accept(environ))
        except HandshakeRefused as refusal:
            start_response(f"{refusal.status} No", list(refusal.headers))
            return [str(refusal).encode()]
        start_response("200 OK", [])
        return []

    host, port = stack.enter_context(wsgi_server(application))
    return f"ws://{host}:{port}/", accepted


def test_a_first_message_leaves_in_one_write_with_the_answer(pair):
    ours, theirs = pair
    connection = accept(GOOD | {"werkzeug.socket": ours}, first_text="grüß")
    head, _, frame = theirs.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frame == b"".join(text_frames("grüß", mask=False, max_frame_bytes=1024))
    connection.abort()


LONG = "x" * 2**22
"""A text that no socket takes at once."""


def test_a_last_text_does_not_cut_a_first_message_that_the_socket_took_in_part(pair):
    ours, theirs = pair
    connection = accept(GOOD | {"werkzeug.socket": ours}, first_text=LONG)
    begun = theirs.recv(65536)
    theirs.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            begun += theirs.recv(65536)
    connection.abort_from_outside("a last text")
    connection.abort()
    assert theirs.recv(65536) == b""


def test_an_ended_connection_writes_no_last_text_as_its_socket_may_be_another_s(pair, monkeypatch):
    ours, theirs = pair
    connection = accept(GOOD | {"werkzeug.socket": ours})
    connection.abort()
    written = []
    monkeypatch.setattr(type(connection), "transmit", lambda _self, data: written.append(data))
    connection.abort_from_outside("a last text")
    assert written == []
    theirs.close()


def test_the_rest_of_a_first_message_leaves_once_the_connection_is_open(pair, dispatcher, recorder):
    ours, theirs = pair
    connection = accept(GOOD | {"werkzeug.socket": ours}, first_text=LONG)
    dispatcher.call_soon(lambda: (connection.open(dispatcher, recorder), connection.close(1000)))
    parser = FrameParser(is_server=False, max_message_bytes=2**30)
    events = parser.feed(theirs.recv(65536).partition(b"\r\n\r\n")[2])
    while len(events) < len(expected := [LONG, Close(1000, "")]):
        events += parser.feed(theirs.recv(65536))
    assert events == expected
    theirs.close()
    recorder.next("closed")


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (None, None),
        (["token", "secret"], "token"),
        (["bearer", "secret"], "bearer"),
        (["secret", "bearer", "token"], "bearer"),
        (["tokens", "secret"], None),
    ],
)
def test_exactly_token_or_bearer_is_selected_in_the_clients_order(served, offered, selected):
    url, accepted = served
    with connect(url, subprotocols=offered, compression=None) as client:
        connection = accepted.result(5)
        assert (connection.subprotocol, client.subprotocol) == (selected, selected)
        connection.abort()


def test_compression_is_declined(served):
    url, accepted = served
    with connect(url, compression="deflate") as client:
        assert "permessage-deflate" in client.request.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        accepted.result(5).abort()


def test_a_conversation_with_websockets(served, dispatcher, recorder):
    url, accepted = served
    with connect(url, subprotocols=["token", "secret"]) as client:
        connection = accepted.result(5)
        dispatcher.call_soon(lambda: connection.open(dispatcher, recorder))
        client.send("hällo")
        assert recorder.next("text") == "hällo"
        client.send([b"frag", b"ments"])
        assert recorder.next("binary") == b"fragments"
        dispatcher.call_soon(lambda: (connection.send_text("hi"), connection.send_binary(bytes(2**20))))
        assert [client.recv(), client.recv() + client.recv()] == ["hi", bytes(2**20)]
        assert client.ping("here?").wait(5)
        client.close(1001, "bye")
    assert recorder.next("closed") == ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1001, reason="bye")


def test_an_open_connection_names_its_peer_by_address(served, dispatcher, recorder):
    url, accepted = served
    with connect(url) as client:
        connection = accepted.result(5)
        dispatcher.call_soon(lambda: connection.open(dispatcher, recorder))
        client.send("hello")
        assert recorder.next("text") == "hello"
        assert connection.peer == "{}:{}".format(*client.local_address)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"HTTP_UPGRADE": ""}, 426),
        ({"HTTP_UPGRADE": "h2c"}, 426),
        ({"HTTP_CONNECTION": "keep-alive"}, 400),
        ({"REQUEST_METHOD": "POST"}, 400),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, 400),
        ({"CONTENT_LENGTH": "5"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 400),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, 426),
        ({"HTTP_SEC_WEBSOCKET_VERSION": ""}, 426),
        ({"HTTP_SEC_WEBSOCKET_KEY": ""}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "not base64 at all!!!!!!!"}, 400),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "tok\r\nen"}, 400),
    ],
)
def test_a_request_that_is_no_handshake_is_refused_before_a_byte_is_written(pair, wrong, status):
    ours, theirs = pair
    with pytest.raises(HandshakeRefused) as refusal:
        accept(GOOD | wrong | {"werkzeug.socket": ours})
    assert refusal.value.status == status
    assert str(refusal.value) == f"{status}: {refusal.value.description}"
    assert is_untouched(ours, theirs)


def is_untouched(ours, theirs):
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    ours.sendall(b"still the server's")
    return theirs.recv(100) == b"still the server's"


def test_a_refusal_can_be_answered_in_plain_http(served):
    url, _ = served
    host, port = url.removeprefix("ws://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.split()[1] == b"426"
    assert answer.endswith(b"426: a WebSocket is served here")


def test_the_refusal_of_an_old_version_names_the_right_one(pair):
    with pytest.raises(HandshakeRefused) as refusal:
        accept(GOOD | {"HTTP_SEC_WEBSOCKET_VERSION": "8", "werkzeug.socket": pair[0]})
    assert refusal.value.headers == (("Sec-WebSocket-Version", "13"),)


def test_a_server_that_gives_no_socket_is_refused():
    with pytest.raises(HandshakeRefused) as refusal:
        accept(GOOD)
    assert refusal.value.status == 501


def test_bytes_behind_the_handshake_that_are_still_in_the_kernel_are_read(pair, dispatcher, recorder):
    servers, client = pair
    client.sendall(b"\x81\x85\0\0\0\0early")
    connection = accept(GOOD | {"gunicorn.socket": servers})
    dispatcher.call_soon(lambda: connection.open(dispatcher, recorder))
    assert recorder.next("text") == "early"
    assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
    client.close()
    assert recorder.next("closed").ending is Ending.RESET


def test_a_client_that_left_during_the_handshake_is_reported_as_reset(pair, dispatcher, recorder):
    servers, client = pair
    client.close()
    connection = accept(GOOD | {"gunicorn.socket": servers})
    dispatcher.call_soon(lambda: connection.open(dispatcher, recorder))
    assert recorder.next("closed") == ConnectionClosed(ending=Ending.RESET, code=1006)
