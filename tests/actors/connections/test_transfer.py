"""The reads and writes of a kept connection, compiled and in Python: the same bytes, and the same memory."""

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from shutil import which

import pytest

from actors.connections.arena import Arena
from actors.connections.kept import counted
from actors.connections.shelf import JOURNAL_BYTES, Shelf, rest_of
from actors.connections.transfer import PythonTransfer
from tests.support.engine import links
from tests.support.engine.dispatching import WAIT_S
from tests.support.processes.host_apps import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

KILLS = 12
FRAME_BYTES = 648
PIECE_BYTES = 4_800


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The class, compiled from the source of now."""
    if which("cc") is None and which("gcc") is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("compiled")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", folder / "lib", "--build-temp", folder]
    environment = os.environ | {"SWITCHBOARD_COMPILE": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    assert "warning" not in built.stderr, built.stderr
    (path,) = folder.rglob("_transfer*.so")
    name = "actors.connections._transfer"
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, str(path)))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Transfer


@pytest.fixture(params=["python", "compiled"])
def make(request):
    """One of both implementations."""
    return PythonTransfer if request.param == "python" else request.getfixturevalue("compiled")


@pytest.fixture
def arena():
    arena = Arena()
    yield arena
    arena.close()


@pytest.fixture
def sockets(stack):
    """Our socket, which does not block, and the client's."""
    ours, theirs = links.tcp_pair(stack)
    ours.setblocking(False)
    theirs.settimeout(WAIT_S)
    return ours, theirs


def readable(sock):
    """Wait until a socket has bytes, or its end."""
    select.select([sock], [], [], WAIT_S)


def test_a_read_brings_the_bytes_and_leaves_them_in_the_memory(make, arena, sockets):
    ours, theirs = sockets
    transfer = make(arena, ours.fileno(), 7)
    assert transfer.receive_at(8192, 8292) is None
    theirs.sendall(b"one frame")
    readable(ours)
    assert transfer.receive_at(8192, 8196) == b"one "
    assert transfer.receive_at(8196, 8292) == b"frame"
    assert (arena.memory[8192:8202], transfer.count) == (b"one frame\0", 5)


def test_a_read_overwrites_the_one_before_and_moves_the_place_of_the_block(make, arena, sockets):
    ours, theirs = sockets
    transfer = make(arena, ours.fileno(), 7)
    arena.words[1000] = 50
    transfer.begin(8192, 100, 8000, 30)
    for data, place in ((b"the first", 80), (b"second", 89), (b"x" * 100, 95)):
        theirs.sendall(data)
        readable(ours)
        assert transfer.receive() == data
        assert (arena.words[1000], transfer.count) == (place, len(data))
        assert arena.memory[8192 : 8192 + len(data)] == data
    assert transfer.receive() is None
    assert (arena.words[1000], transfer.count) == (195, 0)
    assert transfer.receive() is None
    assert arena.words[1000] == 195


def test_the_end_of_the_stream_and_a_reset_are_told_apart(make, arena, stack):
    for is_reset in (False, True):
        ours, theirs = links.tcp_pair(stack)
        ours.setblocking(False)
        transfer = make(arena, ours.fileno(), 7)
        transfer.begin(8192, 100, 8000, 0)
        if is_reset:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        if is_reset:
            readable(ours)
            with pytest.raises(ConnectionResetError):
                transfer.receive()
            with pytest.raises(BrokenPipeError):
                transfer.send(b"more", 16_384, 0)
        else:
            readable(ours)
            assert transfer.receive() == b""


def test_a_write_is_noted_with_its_place_and_the_number_of_its_session(make, arena, sockets):
    ours, theirs = sockets
    transfer = make(arena, ours.fileno(), 7)
    for data in (b"bytes", memoryview(b"a view")):
        assert transfer.send(data, 16_384, 1234) == len(data)
        assert theirs.recv(100) == data
        assert list(arena.words[2040:2043]) == [1234, len(data), 7]
        assert arena.memory[16_384 : 16_384 + len(data)] == data


def test_a_full_socket_takes_a_part_and_then_nothing(make, arena, sockets):
    ours, theirs = sockets
    transfer = make(arena, ours.fileno(), 7)
    data, sent = os.urandom(60_000), 0
    while taken := transfer.send(data, 16_384, sent):
        sent += taken
    assert list(arena.words[2040:2043]) == [sent, len(data), 7]
    received = 0
    while received < sent:
        received += len(theirs.recv(sent - received))


def test_the_compiled_transfer_refuses_places_outside_of_the_memory(compiled, arena, sockets):
    ours, _ = sockets
    transfer = compiled(arena, ours.fileno(), 7)
    size = len(arena.memory)
    for at, end in ((-1, 10), (10, 9), (0, size + 1), (size + 1, size + 2)):
        with pytest.raises(ValueError, match="not within the memory"):
            transfer.receive_at(at, end)
    for at, size_bytes, word_at in ((0, size + 1, 0), (0, 10, size), (-8, 10, 0)):
        with pytest.raises(ValueError, match="not within the memory"):
            transfer.begin(at, size_bytes, word_at, 0)
    for at in (0, 63, size):
        with pytest.raises(ValueError, match="not within the memory"):
            transfer.send(b"data", at, 0)
    with pytest.raises(TypeError):
        transfer.send("a text", 16_384, 0)
    with pytest.raises(OverflowError):
        transfer.send(b"data", 16_384, -1)
    for call in (transfer.send, transfer.receive_at, transfer.begin):
        with pytest.raises(TypeError):
            call()


def serve(make, arena, sock):
    """Read frames of a silent user, and write numbered pieces, until a signal kills this process."""
    shelf = Shelf(arena, 0, 0)
    shelf.transfer = transfer = make(arena, sock.fileno(), shelf.serial)
    shelf.store(b"record", 0)
    shelf.note_read(bytes(FRAME_BYTES))
    shelf.make_room(b"", may_drop=True)
    shelf.begin_anew()
    shelf.note_write(b"")  # the area of this thread
    os.write(sock.fileno(), shelf.at.to_bytes(8, "little") + shelf.serial.to_bytes(8, "little"))
    shelf.written += 16
    number = 0
    while True:
        assert shelf.may_overwrite()
        transfer.receive()
        if number % 7 == 0:
            shelf.settle()
        piece = number.to_bytes(4, "little") * (PIECE_BYTES // 4)
        sent = transfer.send(piece, shelf.write_at, shelf.written)
        shelf.note_written(piece, sent)
        while sent < PIECE_BYTES:  # the socket is full, and another block keeps the rest
            shelf.note_write(piece[sent:])
            with contextlib.suppress(BlockingIOError):
                taken = os.write(sock.fileno(), piece[sent:])
                shelf.note_written(piece[sent:], taken)
                sent += taken
        number += 1


def test_a_process_that_is_killed_at_any_instant_leaves_its_last_read_and_write(make, stack):
    chance = random.Random(1)  # noqa: S311
    for _ in range(KILLS):
        arena = Arena()
        ours, theirs = links.tcp_pair(stack)
        ours.setblocking(False)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                serve(make, arena, ours)
            os._exit(1)
        theirs.settimeout(WAIT_S)
        head = theirs.recv(16, socket.MSG_WAITALL)
        at, serial = (int.from_bytes(head[part : part + 8], "little") for part in (0, 8))
        sent, received = 0, bytearray()
        for _ in range(chance.randint(5, 60)):
            theirs.sendall(sent.to_bytes(4, "little") * (FRAME_BYTES // 4))
            sent += 1
            received += theirs.recv(PIECE_BYTES * chance.randint(1, 4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # Behind this process's own copy of the socket, the kernel still has all counts.
        written, read = counted(ours)
        rest, written = rest_of(arena, at, serial, written, read + FRAME_BYTES)
        while len(received) < written - 16:
            received += theirs.recv(written - 16 - len(received))
        received += rest.write[written - rest.write_at :]
        pieces = len(received) // PIECE_BYTES
        expected = b"".join(number.to_bytes(4, "little") * (PIECE_BYTES // 4) for number in range(pieces + 1))
        assert expected.startswith(received)
        assert len(received) % PIECE_BYTES == 0, "the last piece is completed"
        assert len(rest.journal) <= JOURNAL_BYTES
        stream = b"".join(number.to_bytes(4, "little") * (FRAME_BYTES // 4) for number in range(sent))
        assert stream[:read].endswith(rest.journal)
        arena.close()
