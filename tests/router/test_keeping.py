"""The records of a session, and the session as its dead process left it."""

import sys
from collections import deque
from types import SimpleNamespace

import pytest

from actors import messages
from actors.connections.frames import apply_mask
from actors.connections.shelf import Shelf, ShelfError
from router.keeping import ShelvedMachine, recovered

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def masked(data, first=0x81):
    return bytes([first, 0x80 | len(data)]) + b"1234" + apply_mask(data, b"1234")


class Session:
    """A machine that answers each text with a text, and calls for a record then."""

    def __init__(self):
        self.snapshot_due = 0
        self.can_move = True
        self.handled = 0

    def held_bytes(self):
        return 0

    def describe(self):
        return {}

    def handle(self, message, _now_s):
        self.handled += 1
        if isinstance(message, messages.ClientTextReceived):
            self.snapshot_due += 1
            return [messages.SendToClient(f"{message.text}!")]
        return []

    def snapshot(self):
        if self.can_move is None:
            raise ValueError("cannot be written")
        return b"after %d" % self.handled


@pytest.fixture
def process():
    """A session, its machine, and its connection, whose reads and writes a test makes."""
    shelf, session, holds = Shelf(), Session(), []
    shelf.begin(0, 0)
    connection = SimpleNamespace(shelf=shelf, emitted=[], delivered=[], pending=[], journal_from=0)
    connection.delivered = deque()
    connection.unwritten = lambda more: b"".join(it.encode() for it in [*connection.emitted, *more])
    yield SimpleNamespace(
        shelf=shelf,
        session=session,
        connection=connection,
        holds=holds,
        machine=ShelvedMachine(session, session, connection, lambda: holds.append(1)),
    )
    shelf.close()


def read(process, data):
    room = process.shelf.room(len(data))
    room[:] = data
    process.shelf.note_read(len(data))


def ask(process, text):
    read(process, masked(text.encode()))
    process.connection.delivered.append(text)
    process.connection.journal_from = process.shelf.read
    return process.machine.handle(messages.ClientTextReceived(text), 0.0)


def test_a_record_has_the_bytes_of_its_step_before_they_are_written(process):
    assert ask(process, "hello") == [messages.SendToClient("hello!")]
    found = recovered(process.shelf, 0, process.shelf.read)
    assert (found.value, found.unsent, found.sent_bytes, found.journal) == (b"after 1", b"hello!", 0, [])
    assert recovered(process.shelf, 4, process.shelf.read).unsent == b"o!"
    assert list(process.connection.delivered) == []


def test_the_keeper_gets_the_memory_with_its_first_record(process):
    assert process.holds == []
    ask(process, "hello")
    ask(process, "again")
    assert process.holds == [1]


def test_audio_behind_the_record_counts_and_its_torn_write_is_completed(process):
    ask(process, "hello")
    process.shelf.written = 6
    process.shelf.note_write(b"audio frames")
    found = recovered(process.shelf, 6 + 5, process.shelf.read)
    assert (found.unsent, found.sent_bytes) == (b" frames", len(b"audio frames"))


def test_messages_behind_the_record_are_the_journal_and_half_a_frame_is_unread(process):
    process.connection.pending = ["not handled", b"pcm"]
    ask(process, "hello")
    read(process, masked(b"later") + masked(b"cut")[:3])
    found = recovered(process.shelf, 0, process.shelf.read)
    assert found.journal == ["not handled", b"pcm", "later"]
    assert found.unread == masked(b"cut")[:3]


def test_binary_messages_that_come_in_pieces_are_handled_once(process):
    process.connection.delivered.extend([b"0123456789", "text"])
    process.machine.handle(messages.ClientBinaryReceived(b"01234"), 0.0)
    assert list(process.connection.delivered) == [b"56789", "text"]
    process.machine.handle(messages.ClientBinaryReceived(b"56789"), 0.0)
    assert list(process.connection.delivered) == ["text"]


def test_no_record_is_stored_without_a_call_for_one(process):
    ask(process, "hello")
    process.machine.handle(messages.ClientBinaryReceived(b"pcm"), 0.0)
    assert recovered(process.shelf, 0, process.shelf.read).value == b"after 1"


def test_a_session_that_cannot_be_written_goes_on_with_the_record_before(process):
    ask(process, "hello")
    process.session.can_move = None
    assert ask(process, "again") == [messages.SendToClient("again!")]
    assert recovered(process.shelf, 0, process.shelf.read).value == b"after 1"


def test_bytes_that_no_record_has_are_an_error(process):
    process.shelf.written = 10
    ask(process, "hello")
    with pytest.raises(ShelfError, match="in no record"):
        recovered(process.shelf, 9, process.shelf.read)


def test_a_message_of_several_frames_that_was_half_read_is_read_again(process):
    ask(process, "hello")
    begun = masked(b"begun", 0x01) + masked(b"ping", 0x89) + masked(b"more", 0x80)[:4]
    read(process, masked(b"whole") + begun)
    found = recovered(process.shelf, 0, process.shelf.read)
    assert (found.journal, found.unread) == (["whole"], begun)
