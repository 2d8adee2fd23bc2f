"""A blocking socket that receives in large pieces and hands out small ones."""

import socket

import pytest

from actors.connections.buffered_socket import BufferedSocket

pytestmark = pytest.mark.slow


def test_one_receive_serves_a_reader_of_single_bytes():
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"HTTP/1.1 101 Switching\r\n\r\n\x81\x05early")
        buffered = BufferedSocket(near)
        assert b"".join(buffered.recv(1) for _ in range(26)) == b"HTTP/1.1 101 Switching\r\n\r\n"
        near.setblocking(False)
        with pytest.raises(BlockingIOError):
            near.recv(1)
        assert buffered.rest == b"\x81\x05early"
        assert buffered.recv(100) == b"\x81\x05early"
        assert buffered.fileno() == near.fileno()
        far.close()
        near.setblocking(True)
        assert buffered.recv(1) == b""
