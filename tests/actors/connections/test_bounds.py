"""The bytes that wait for a peer have a bound, and a last message is not dropped with them."""

import contextlib

import pytest

from actors.connections.base import ConnectionClosed, Ending
from actors.connections.frames import ping_frame

BOUND_BYTES = 100_000
PING = ping_frame(b"x" * 125, mask=True)
PINGS = 24_000
"""The pongs have 3 MB."""

CHUNK = bytes(64 * 1024)


def fill(link):
    """Send until the stream takes no more; return how much that was."""
    for count in range(1, 2000):
        link.send_binary(CHUNK)
        if link.do(lambda: link.connection.is_busy):
            return count * len(CHUNK)
    raise AssertionError("never full")


def received_bytes(link):
    """Read to the end of the stream; return how much came."""
    total_bytes = 0
    with contextlib.suppress(ConnectionError):
        while data := link.peer.sock.recv(1024 * 1024):
            total_bytes += len(data)
    return total_bytes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unix-server", "tcp-server"], indirect=True)
def test_pongs_for_a_peer_that_does_not_read_have_a_bound_behind_our_close(make_link, kind):
    link = make_link(kind, close_timeout_s=1.5, high_water_bytes=len(CHUNK), write_buffer_bytes=8 * len(CHUNK)).open()
    sent_bytes = fill(link)
    link.close(1001, "going away")
    for _ in range(PINGS // 1000):
        link.peer.send_bytes(PING * 1000)
    link.do(lambda: None)
    assert received_bytes(link) - sent_bytes < BOUND_BYTES


@pytest.mark.parametrize(
    "kind",
    ["memory", *(pytest.param(it, marks=pytest.mark.slow) for it in ("unix-server", "tcp-server", "tls-server"))],
    indirect=True,
)
def test_a_farewell_comes_behind_a_burst_that_overflows_again(make_link, kind):
    link = make_link(kind, write_buffer_bytes=2 * len(CHUNK), close_timeout_s=5).open()
    link.peer.stop_reading()
    overflows = []
    link.listener.hooks["overflowed"] = overflows.append
    for _ in range(2000):
        if link.do(lambda: bool(overflows)):
            break
        link.send_binary(CHUNK)

    def burst():
        for _ in range(100):  # frames that the owner had on their way
            link.connection.send_binary(CHUNK)

    link.do(burst)
    link.do(lambda: (link.connection.send_text("too slow"), link.connection.close(1008, "too slow")))
    link.peer.read_again()
    message = link.peer.receive()
    while isinstance(message, bytes):
        message = link.peer.receive()
    assert message == "too slow"
    assert link.peer.receive() == ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1008, reason="too slow")
