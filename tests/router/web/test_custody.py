"""A worker's end of the channel to the keeper, whose part a test plays."""

import contextlib
import errno
import logging
import os
import queue
import signal
import socket
import sys
import threading
from types import SimpleNamespace

import pytest

from actors.connections.base import ConnectionLimits
from actors.connections.frames import close_frame, text_frames
from actors.connections.handover import HandshakeRefused
from actors.connections.kept import KeptConnection
from actors.connections.shelf import Shelf
from actors.messages import ClientAdopted
from router.keeping import Record, pack
from router.web import custody as module
from router.web.custody import Custody
from tests.support.engine import links
from tests.support.processes.forked import status_of_fork

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

WAIT_S = 10.0
LOST = b"".join([*text_frames("lost", mask=False, max_frame_bytes=1000), close_frame(1011, "lost", mask=False)])


def last_words_of(client):
    """Return the bytes that a client gets until the stream ends."""
    received = b""
    while part := client.recv(100):
        received += part
    return received


class Router:
    """A router that notes what it adopts, or is full."""

    def __init__(self):
        self.adopted = queue.Queue()
        self.is_full = False
        self.goes_away = False
        self.lost = self.unkept = 0

    def count_adoption(self, data, *, is_suspect):
        return data + (b" suspect" if is_suspect else b" counted")

    def limits_of_value(self, _data):
        return ConnectionLimits()

    def adopt(self, data, connection, adopted, *, journal):
        if self.is_full:
            connection.abort()
            raise ValueError("full")
        if self.goes_away:
            connection.abort()
            raise HandshakeRefused(503, "going away")
        connection.abort()
        self.adopted.put((data, adopted, journal))

    def count_unkept(self):
        self.unkept += 1

    def count_lost(self):
        self.lost += 1

    def give_up(self, _data, connection):
        self.count_lost()
        connection.send_text("lost")
        connection.close(1011, "lost")


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
    packet, (memory,), _, _ = socket.recv_fds(channel, 100, 2)
    assert packet == b"m"
    with channel:
        yield SimpleNamespace(channel=channel, custody=custody, router=router, memory=memory)
        custody.close()
        custody.end()
    os.close(memory)


@pytest.fixture
def held(keeper):
    """A session that has a record: the descriptors that the keeper got, and the client's socket."""
    stack = contextlib.ExitStack()
    ours, theirs = links.tcp_pair(stack)
    connection = KeptConnection(socket.socket(fileno=ours.detach()), subprotocol=None, limits=ConnectionLimits())
    shelf = connection.keep(keeper.custody.arena)
    shelf.store(pack(Record(b"value", 0, b"rest", [(True, b"asked")])), 0)
    shelf.note_words(b"once upon")
    shelf.make_room(b"", may_drop=False)
    keeper.custody.hold("s1", connection, shelf)
    packet, (descriptor,), _, _ = socket.recv_fds(keeper.channel, 100, 2)
    place = f"s1 {shelf.at} {shelf.serial}".encode()
    assert packet == b"h" + place
    theirs.settimeout(WAIT_S)

    def give(order):
        socket.send_fds(keeper.channel, [order + place], [descriptor, keeper.memory])

    with stack:
        yield give, theirs
        connection.abort()
        os.close(descriptor)


def test_a_session_of_a_dead_worker_is_adopted_with_its_journal(keeper, held):
    held[0](b"a")
    adopted = keeper.router.adopted.get(timeout=WAIT_S)
    assert adopted == (b"value counted", ClientAdopted(words="once upon"), ["asked"])


def test_a_session_ends_if_a_worker_read_its_client_and_died_without_a_record(keeper, held, monkeypatch):
    def read_and_die(_data, connection, _adopted, *, journal):
        keeper.router.adopted.put((connection._sock.recv(100), journal))
        connection.abort()

    monkeypatch.setattr(keeper.router, "adopt", read_and_die)
    held[1].sendall(b"words")
    held[0](b"a")
    assert keeper.router.adopted.get(timeout=WAIT_S) == (b"words", ["asked"])
    held[0](b"a")
    assert held[1].recv(100) == b""
    held[1].close()
    assert keeper.channel.recv(100) == b"ds1"
    assert (keeper.router.adopted.empty(), keeper.router.lost) == (True, 1)


def test_a_session_that_cannot_be_continued_ends_with_its_last_words(keeper, held, caplog):
    keeper.router.is_full = True
    held[1].sendall(b"audio that the dead worker did not read")
    held[0](b"a")
    assert last_words_of(held[1]) == b"rest" + LOST
    held[1].close()
    assert keeper.channel.recv(100) == b"ds1"
    assert "session s1 ends: it cannot be continued" in caplog.text
    assert keeper.router.lost == 1


def test_a_session_that_killed_several_workers_ends_and_is_not_adopted(keeper, held):
    held[0](b"l")
    assert last_words_of(held[1]) == b"rest" + LOST
    held[1].close()
    assert keeper.channel.recv(100) == b"ds1"
    assert keeper.router.adopted.empty()


def test_a_session_without_a_record_is_counted_as_lost(keeper):
    with contextlib.ExitStack() as stack:
        ours, theirs = links.tcp_pair(stack)
        shelf = stack.enter_context(contextlib.closing(Shelf(keeper.custody.arena, 0, 0)))
        place = f"as1 {shelf.at} {shelf.serial}".encode()
        socket.send_fds(keeper.channel, [place], [ours.fileno(), keeper.memory])
        ours.close()
        theirs.settimeout(WAIT_S)
        assert theirs.recv(100) == b""
        theirs.close()
        assert keeper.channel.recv(100) == b"ds1"
        assert keeper.router.lost == 1


def test_a_session_that_had_ended_is_not_lost(keeper):
    with contextlib.ExitStack() as stack:
        ours, _theirs = links.tcp_pair(stack)
        socket.send_fds(keeper.channel, [b"as1 4096 7"], [ours.fileno(), keeper.memory])
        assert keeper.channel.recv(100) == b"ds1"
        assert keeper.router.lost == 0


def test_a_worker_that_goes_away_meanwhile_passes_the_session_on(keeper, held):
    keeper.router.goes_away = True
    held[0](b"a")
    assert keeper.channel.recv(100) == b"ps1"
    assert keeper.router.lost == 0


def test_the_sessions_of_a_process_are_kept_until_it_ends(keeper):
    assert keeper.custody.is_kept
    keeper.custody.close()
    assert not keeper.custody.is_kept


def test_without_the_keeper_no_session_is_kept(keeper):
    keeper.channel.shutdown(socket.SHUT_RDWR)
    keeper.custody._threads[1].join(WAIT_S)
    assert not keeper.custody.is_kept


def test_a_worker_on_its_way_out_passes_a_session_on(keeper, held):
    keeper.custody.close()
    held[0](b"a")
    assert keeper.channel.recv(100) == b"ps1"


def test_a_session_whose_descriptors_did_not_arrive_is_left_to_another_worker(keeper, caplog):
    keeper.channel.send(b"as1 4096 7")
    assert keeper.channel.recv(100) == b"ps1"
    assert "no descriptor left" in caplog.text


def test_the_last_orders_leave_before_the_end(keeper):
    keeper.custody.drop("s1")
    assert keeper.channel.recv(100) == b"ds1"


def test_a_session_is_passed_on_where_no_descriptor_is_left_for_it(keeper, held, monkeypatch, caplog):
    def exhausted(_descriptor):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "Arena", exhausted)
    held[0](b"a")
    assert keeper.channel.recv(100) == b"ps1"
    assert "session s1 is left to another worker" in caplog.text
    assert keeper.router.lost == 0


def test_a_session_whose_socket_cannot_be_duplicated_is_counted_as_unkept(keeper, caplog):
    connection = SimpleNamespace(duplicate=lambda: -1)
    keeper.custody.hold("s2", connection, None)
    assert "session s2 does not outlive this process" in caplog.text
    assert keeper.router.unkept == 1


def end_with_a_held_lock():
    """End this process while another thread holds the lock of a log handler."""
    handler, is_held = logging.StreamHandler(), threading.Event()

    def hold():
        with handler.lock:
            is_held.set()
            threading.Event().wait()

    threading.Thread(target=hold, daemon=True).start()
    assert is_held.wait(WAIT_S)
    Custody.end_process(None)


def test_a_held_lock_of_the_log_does_not_keep_a_process_from_its_end():
    status = status_of_fork(end_with_a_held_lock)
    assert os.WTERMSIG(status) == signal.SIGKILL
