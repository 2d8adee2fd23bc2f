"""One deadline for a whole exchange."""

import socket
import time

import pytest

from router.http_deadline import shut_down_at

pytestmark = pytest.mark.slow

WAIT_S = 30.0


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(WAIT_S)
        yield ours, theirs


def test_a_read_ends_at_the_deadline_although_bytes_arrive_meanwhile(pair):
    ours, theirs = pair
    theirs.sendall(b"drip")
    with shut_down_at(ours, time.monotonic() + 0.05):
        assert ours.recv(100) == b"drip"
        assert ours.recv(100) == b""


def test_a_socket_is_left_alone_where_the_block_ends_before(pair):
    ours, theirs = pair
    with shut_down_at(ours, time.monotonic() + WAIT_S):
        pass
    theirs.sendall(b"later")
    assert ours.recv(100) == b"later"
