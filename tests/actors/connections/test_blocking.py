"""The blocking client and the blocking server: frames, ends, and failures as sentences."""

import contextlib
import socket

import pytest
from websockets.exceptions import ConnectionClosed

from actors.connections.blocking import BlockingClient, BlockingServer, CallError, HungUp
from tests.support.processes.broken_upstreams import refused, serving, silent, with_status

pytestmark = pytest.mark.slow


def dial(url, timeout_s=5.0):
    return BlockingClient(url, headers={}, timeout_s=timeout_s, uses_proxy=False)


def echo(connection):
    with contextlib.suppress(ConnectionClosed):
        for frame in connection:
            connection.send(frame)


def test_text_and_binary_go_both_ways():
    with serving(echo) as url:
        client = dial(url)
        for frame in ("hello", b"\0\1"):
            client.send(frame)
            assert client.receive(5) == frame
        with pytest.raises(TimeoutError):
            client.receive(0.01)
        client.close()


def test_the_end_has_the_code_and_the_reason_of_the_peer():
    with serving(lambda connection: connection.close(1011, "over")) as url:
        client = dial(url)
        with pytest.raises(HungUp) as caught:
            client.receive(5)
        assert (caught.value.code, caught.value.reason) == (1011, "over")
        with pytest.raises(HungUp):
            client.send("too late")


def test_a_stream_that_ends_without_a_close_frame_is_1006():
    def cut(connection):
        connection.socket.shutdown(socket.SHUT_RDWR)

    with serving(cut) as url:
        client = dial(url)
        with pytest.raises(HungUp) as caught:
            client.receive(5)
        assert caught.value.code == 1006


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (refused, "cannot be reached: Connection refused"),
        (silent, "did not answer within 0.3 s"),
        (lambda: with_status(401), "answered HTTP 401: it wants another token"),
        (lambda: with_status(503), "answered HTTP 503"),
    ],
)
def test_a_failure_is_the_rest_of_a_sentence(server, sentence):
    with server() as url, pytest.raises(CallError) as caught:
        dial(url, 0.3)
    assert str(caught.value) == sentence


def test_a_url_of_another_scheme_is_refused():
    with pytest.raises(CallError, match="is no WebSocket server"):
        dial("http://127.0.0.1/")


@pytest.mark.parametrize("value", ["Token secret\nX-Other: 1", "Token secr\u00e9t"])
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(value):
    with pytest.raises(CallError) as caught:
        BlockingClient("ws://127.0.0.1:1/", headers={"Authorization": value}, timeout_s=1, uses_proxy=False)
    assert str(caught.value) == "was not called: the header Authorization has a line break or a character outside ASCII"


def test_a_server_handles_each_connection_and_ends_with_its_block():
    def answer(connection):
        connection.send(connection.receive(5))
        connection.close(4001, "enough")

    with BlockingServer("127.0.0.1", 0, answer) as server:
        for frame in ("hello", b"\0\1"):
            client = dial(server.url)
            client.send(frame)
            assert client.receive(5) == frame
            with pytest.raises(HungUp) as caught:
                client.receive(5)
            assert (caught.value.code, caught.value.reason) == (4001, "enough")
    with pytest.raises(CallError):
        dial(server.url)
