"""A worker's end of the channel to the keeper, whose part a test plays."""

import contextlib
import os
import queue
import socket
import sys
from types import SimpleNamespace

import msgspec
import pytest

from actors.connections.base import ConnectionLimits
from actors.connections.kept import KeptConnection
from actors.messages import ClientAdopted
from router.keeping import Record
from router.web.custody import Custody
from tests.support.engine import links

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

WAIT_S = 10.0


class Router:
    """A router that notes what it adopts, or is full."""

    def __init__(self):
        self.adopted = queue.Queue()
        self.is_full = False

    def count_adoption(self, data):
        return data + b" counted"

    def limits_of_value(self, _data):
        return ConnectionLimits()

    def adopt(self, data, connection, adopted, *, journal):
        if self.is_full:
            connection.abort()
            raise ValueError("full")
        connection.abort()
        self.adopted.put((data, adopted, journal))

    def give_up(self, _data, connection):
        connection.send_text("lost")
        connection.close(1011, "internal error")


@pytest.fixture
def keeper(tmp_path):
    """The keeper's end, the custody of a worker, and its router."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "keeper.sock"))
        listener.listen()
        router = Router()
        custody = Custody(str(tmp_path / "keeper.sock"), router)
        channel, _ = listener.accept()
    channel.settimeout(WAIT_S)
    with channel:
        yield SimpleNamespace(channel=channel, custody=custody, router=router)
        custody.close()
        custody.end()


@pytest.fixture
def held(keeper):
    """A session that has a record: the descriptors that the keeper got, and the client's socket."""
    stack = contextlib.ExitStack()
    ours, theirs = links.tcp_pair(stack)
    connection = KeptConnection(socket.socket(fileno=ours.detach()), subprotocol=None, limits=ConnectionLimits())
    shelf = connection.keep()
    shelf.store(msgspec.msgpack.encode(Record(b"value", 0, b"rest", [(True, b"asked")])), 0)
    keeper.custody.hold("s1", connection, shelf)
    packet, descriptors, _, _ = socket.recv_fds(keeper.channel, 100, 2)
    assert packet == b"hs1"
    theirs.settimeout(WAIT_S)
    with stack:
        yield descriptors, theirs
        connection.abort()
        for descriptor in descriptors:
            os.close(descriptor)


def test_a_session_of_a_dead_worker_is_adopted_with_its_journal(keeper, held):
    socket.send_fds(keeper.channel, [b"as1"], held[0])
    adopted = keeper.router.adopted.get(timeout=WAIT_S)
    assert adopted == (b"value counted", ClientAdopted(is_planned=False, sent_bytes=0), ["asked"])


def test_a_session_that_cannot_be_continued_ends_with_its_last_words(keeper, held, caplog):
    keeper.router.is_full = True
    socket.send_fds(keeper.channel, [b"as1"], held[0])
    assert keeper.channel.recv(100) == b"ds1"
    received = b""
    while part := held[1].recv(100):
        received += part
    assert received.startswith(b"rest")
    assert "session s1 ends: it cannot be continued" in caplog.text


def test_a_worker_on_its_way_out_passes_a_session_on(keeper, held):
    keeper.custody.close()
    socket.send_fds(keeper.channel, [b"as1"], held[0])
    assert keeper.channel.recv(100) == b"ps1"


def test_the_last_orders_leave_before_the_end(keeper):
    keeper.custody.drop("s1")
    assert keeper.channel.recv(100) == b"ds1"
