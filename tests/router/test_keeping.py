"""The records of a session, and the session as its dead process left it."""

import random
import sys
from types import SimpleNamespace

import pytest

from actors import messages
from actors.connections.arena import MAX_DICTIONARIES, Arena
from actors.connections.frames import Ping, apply_mask
from actors.connections.kept import Unhandled
from actors.connections.shelf import MAX_RECORD_BYTES, Shelf, ShelfError
from router import keeping
from router.keeping import ShelvedMachine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def masked(data, first=0x81):
    return bytes([first, 0x80 | len(data)]) + b"1234" + apply_mask(data, b"1234")


class Session:
    """A machine that answers each text with a text, and calls for a record then."""

    words_bytes = 160
    is_exact = True
    was_audio = False

    def __init__(self):
        self.record_due = self.words_due = 0
        self.words = ""
        self.can_be_written = True
        self.filling = b""
        self.written = 0
        self.handled = 0
        self.marks = self
        self.commands = []

    def held_bytes(self):
        return 0

    def describe(self):
        return {}

    def handle(self, message, _now_s):
        self.handled += 1
        if isinstance(message, messages.ClientTextReceived):
            self.record_due += 1
            return [messages.SendToClient(f"{message.text}!")]
        commands, self.commands = self.commands, []
        return commands

    def snapshot(self, *, is_brief):
        assert is_brief
        if not self.can_be_written:
            raise ValueError("cannot be written")
        self.written += 1
        return b"after %d" % self.handled + self.filling

    def may_drop_audio(self):
        return True

    def note_stored(self):
        self.words = ""

    def take_words(self):
        words, self.words = self.words, ""
        return words


class Connection:
    """A connection whose reads and writes a test makes."""

    def __init__(self, arena):
        self.shelf = Shelf(arena, 0, 0)
        self.emitted, self.unhandled = [], Unhandled()
        self.journal_from = 0
        self.due, self.store = None, None
        self.is_silent, self.may_overwrite = None, False

    def unwritten(self, current):
        return bytes(current) + b"".join(it.encode() for it in self.emitted)

    def stop_keeping(self, error):
        self.lost, self.shelf = (str(error), self.shelf), None

    def write(self):
        """Write all frames, as at the end of a turn."""
        for frame in list(self.emitted):
            del self.emitted[0]
            data = frame.encode()
            if self.due is not None:
                self.due(data)
            self.shelf.note_write(data)
            self.shelf.note_written(data, len(data))


@pytest.fixture
def process():
    """A session, its machine, and its connection."""
    arena, session, holds = Arena(), Session(), []
    connection = Connection(arena)
    machine = ShelvedMachine(session, session, connection, lambda: holds.append(1))
    yield SimpleNamespace(
        arena=arena, shelf=connection.shelf, session=session, connection=connection, holds=holds, machine=machine
    )
    connection.shelf.close()
    arena.close()


def recovered(process, written):
    shelf = process.shelf
    return keeping.recovered(process.arena, shelf.at, shelf.serial, written, shelf.read)


def read(process, data):
    shelf = process.shelf
    shelf.make_room(b"", may_drop=False)
    shelf.view[shelf.fill : shelf.fill + len(data)] = data
    shelf.fill += len(data)


def ask(process, text, *, is_written=True):
    read(process, masked(text.encode()))
    process.connection.unhandled.note_read([text])
    process.connection.journal_from = process.shelf.read
    commands = process.machine.handle(messages.ClientTextReceived(text), 0.0)
    if is_written:
        process.connection.write()
    return commands


def test_a_record_has_the_bytes_of_its_step_before_they_are_written(process):
    assert ask(process, "hello") == [messages.SendToClient("hello!")]
    found = recovered(process, 0)
    assert (found.value, found.unsent, found.sent_bytes, found.journal) == (b"after 1", b"hello!", 0, [])
    assert recovered(process, 4).unsent == b"o!"
    assert process.connection.unhandled.messages() == []


def test_a_text_that_was_only_audio_does_not_keep_the_journal(process):
    ask(process, "hello")
    process.session.handle = lambda _message, _now_s: []
    process.session.was_audio = True
    ask(process, "audio")
    assert process.connection.unhandled.texts == 0
    process.session.was_audio = False
    ask(process, "a question without an answer yet")
    assert process.connection.unhandled.texts == 1
    assert process.connection.unhandled.messages() == []


def test_the_keeper_gets_the_memory_with_its_first_record(process):
    assert process.holds == []
    ask(process, "hello")
    ask(process, "again")
    assert process.holds == [1]


def test_audio_behind_the_record_counts_and_its_torn_write_is_completed(process):
    ask(process, "hello")
    process.shelf.note_write(b"audio frames")
    found = recovered(process, 6 + 5)
    assert (found.unsent, found.sent_bytes) == (b" frames", len(b"audio frames"))


def test_messages_behind_the_record_are_the_journal_and_half_a_frame_is_unread(process):
    process.connection.unhandled.note_read([Ping(b""), "hello", "not handled", Ping(b""), b"pcm"])
    process.machine.handle(messages.ClientTextReceived("hello"), 0.0)
    process.connection.write()
    read(process, masked(b"later") + masked(b"cut")[:3])
    found = recovered(process, 0)
    assert found.journal == ["not handled", b"pcm", "later"]
    assert found.unread == masked(b"cut")[:3]


def test_binary_messages_that_come_in_pieces_are_handled_once(process):
    process.connection.unhandled.note_read([b"0123456789", "text"])
    process.machine.handle(messages.ClientBinaryReceived(b"01234"), 0.0)
    assert process.connection.unhandled.messages() == [b"56789", "text"]
    process.machine.handle(messages.ClientBinaryReceived(b"56789"), 0.0)
    assert process.connection.unhandled.messages() == ["text"]


def test_a_message_whose_answer_the_client_has_is_not_answered_again(process):
    # A policy or a named agent refuses a message without its session.
    ask(process, "hello")
    process.session.handle = lambda message, _now_s: [messages.SendToClient(f"{message.text} is denied")]
    ask(process, "please")
    found = recovered(process, len("hello!please is denied"))
    assert (found.journal, found.sent_bytes, found.unsent) == ([], 0, b"")


def test_no_record_is_stored_without_a_call_for_one(process):
    ask(process, "hello")
    process.machine.handle(messages.ClientBinaryReceived(b"pcm"), 0.0)
    assert recovered(process, 0).value == b"after 1"


def test_a_session_that_cannot_be_written_goes_on_with_the_record_before(process):
    ask(process, "hello")
    process.session.can_be_written = False
    assert ask(process, "again") == [messages.SendToClient("again!")]
    assert recovered(process, 0).value == b"after 1"


def test_a_session_that_is_too_large_for_a_record_is_not_kept_any_more(process):
    ask(process, "hello")
    process.session.filling = bytes(MAX_RECORD_BYTES)
    read(process, masked(b"more"))
    process.shelf.asks_for_record = True
    for _ in range(3):
        process.machine.handle(messages.TimerFired("any"), 0.0)
    assert process.session.written == 2
    problem, process.connection.shelf = process.connection.lost
    assert problem.startswith("its record has ")


def test_a_large_record_is_not_compressed():
    value = bytes(keeping.MOST_COMPRESSED_BYTES)
    small, large = (keeping.Record(it, 0, b"", []) for it in (value[:-100], value))
    assert len(keeping.pack(small)) < len(value) / 100
    assert len(keeping.pack(large)) > len(value)
    assert [keeping.unpack(keeping.pack(it)) for it in (small, large)] == [small, large]


def noise(number, size):
    """Return bytes that nothing shortens."""
    return random.Random(number).randbytes(size)  # noqa: S311


def facts(session_id, prompt="Be brief. " * 20):
    """Return a record as of a session: words that all sessions have, and some that only this one has."""
    words = noise(0, 600).hex()
    return keeping.Record(f"{session_id} {words} {prompt}".encode(), 0, b"", [])


def test_the_first_record_is_the_dictionary_of_those_of_other_sessions():
    arena = Arena()
    first, dictionary = keeping.pack_early(facts("first"), b"", arena)
    assert arena.dictionaries == (dictionary,)
    second, chosen = keeping.pack_early(facts("second"), b"", arena)
    assert (chosen, arena.dictionaries) == (dictionary, (dictionary,))
    alone = keeping.pack(facts("second"))
    assert len(second) < len(alone) / 10
    assert [keeping.unpack(it, arena.dictionaries) for it in (first, second, alone)] == [
        facts("first"),
        facts("second"),
        facts("second"),
    ]
    arena.close()


def test_a_record_that_no_dictionary_shortens_is_another_one_until_there_are_enough():
    arena = Arena()
    records = [facts("one", noise(number, 2000).hex()) for number in range(MAX_DICTIONARIES + 2)]
    packed = [keeping.pack_early(record, b"", arena)[0] for record in records]
    assert len(arena.dictionaries) == MAX_DICTIONARIES
    assert [keeping.unpack(it, arena.dictionaries) for it in packed] == records
    _, chosen = keeping.pack_early(records[2], arena.dictionaries[-1], arena)
    assert chosen == arena.dictionaries[2]
    arena.close()


def test_a_record_with_a_long_prompt_is_compressed_with_its_dictionary_as_a_whole():
    arena = Arena()
    prompt = noise(1, 6000).hex()
    keeping.pack_early(facts("first", prompt), b"", arena)
    packed, _ = keeping.pack_early(facts("second", prompt), b"", arena)
    assert len(packed) < 200
    assert keeping.unpack(packed, arena.dictionaries) == facts("second", prompt)
    arena.close()


def test_a_record_that_is_too_large_is_no_dictionary():
    arena = Arena()
    _, dictionary = keeping.pack_early(keeping.Record(bytes(keeping.MOST_DICTIONARY_BYTES), 0, b"", []), b"", arena)
    large = keeping.Record(noise(1, keeping.MOST_DICTIONARY_BYTES), 0, b"", [])
    packed, chosen = keeping.pack_early(large, b"", arena)
    assert (dictionary, chosen, arena.dictionaries) == (b"", b"", ())
    assert keeping.unpack(packed) == large
    arena.close()


def test_only_the_first_records_of_a_session_become_dictionaries(process):
    for number in range(keeping.EARLY_RECORDS + 2):
        process.session.filling = noise(number, 500).hex().encode()
        ask(process, "hello")
    assert len(process.arena.dictionaries) == keeping.EARLY_RECORDS
    written = len("hello!") * (keeping.EARLY_RECORDS + 2)
    assert recovered(process, written).value == b"after %d" % (keeping.EARLY_RECORDS + 2) + process.session.filling


@pytest.mark.parametrize("dictionaries", [(), (b"another",)])
def test_a_record_whose_dictionary_is_missing_is_an_error(dictionaries):
    packed = keeping.pack(facts("one"), b"the field of a session")
    with pytest.raises(ShelfError, match="dictionary"):
        keeping.unpack(packed, dictionaries)


@pytest.mark.parametrize("dictionary", [b"", b"the field of a session"])
def test_a_record_without_its_end_is_an_error(dictionary):
    packed = keeping.pack(facts("one"), dictionary)
    for size in (0, 1, 5, len(packed) - 1):
        with pytest.raises(ShelfError, match="damaged"):
            keeping.unpack(packed[:size], [dictionary])


def test_a_record_that_half_a_message_prevents_is_stored_before_the_next_write(process):
    ask(process, "hello")
    process.session.record_due, process.session.commands = 2, [messages.SendToClient("one")]
    process.connection.journal_from = None
    process.machine.handle(messages.TimerFired("any"), 0.0)
    process.connection.write()
    process.connection.journal_from, process.session.commands = process.shelf.read, [messages.SendToClient("two")]
    process.machine.handle(messages.TimerFired("any"), 0.0)
    process.connection.write()
    assert recovered(process, 6 + 3 + 3).value == b"after 3"


def test_bytes_that_no_record_has_are_an_error(process):
    process.shelf.written = 10
    ask(process, "hello")
    with pytest.raises(ShelfError, match="in no record"):
        recovered(process, 9)


def test_steps_whose_bytes_leave_together_have_one_record(process):
    ask(process, "hello")
    ask(process, "one", is_written=False)
    ask(process, "two", is_written=False)
    assert recovered(process, 6).value == b"after 1"
    process.connection.write()
    found = recovered(process, 6)
    assert (found.value, found.unsent, found.journal) == (b"after 3", b"one!two!", [])


def test_the_first_record_waits_for_no_client_that_reads_slowly(process):
    # Until then the keeper has the memory of the process before, which lacks the bytes that this one reads.
    ask(process, "hello", is_written=False)
    assert process.holds == [1]
    found = recovered(process, 0)
    assert (found.value, found.unsent, found.journal) == (b"after 1", b"hello!", [])
    process.connection.write()
    assert process.session.written == 1


def test_a_step_without_a_word_to_the_client_is_recorded_at_once(process):
    process.session.record_due += 1
    process.machine.handle(messages.ClientOpened(), 0.0)
    assert recovered(process, 0).value == b"after 1"
    assert process.holds == [1]


def test_a_function_is_not_started_before_its_record_is_stored(process):
    process.session.record_due += 1
    process.session.commands = [messages.SendToClient("calling"), messages.StartWork("call", None, 1.0)]
    process.machine.handle(messages.TimerFired("any"), 0.0)
    assert recovered(process, 0).unsent == b"calling"


def test_words_of_an_answer_are_noted_behind_the_record(process):
    ask(process, "hello")
    for words in ("once upon", " a time"):
        process.session.words, process.session.words_due = words, process.session.words_due + 1
        process.machine.handle(messages.TimerFired("any"), 0.0)
    assert recovered(process, 6).words == "once upon a time"
    assert recovered(process, 6).value == b"after 1"
    process.session.words, process.session.words_due = "x" * 10_000, 7
    process.machine.handle(messages.TimerFired("any"), 0.0)
    assert (recovered(process, 6).words, recovered(process, 6).value) == ("", b"after 4")


def saying(session, words):
    """Return a handler whose whole effect are words of the agent."""

    def handle(_message, _now_s):
        session.words, session.words_due = words, session.words_due + 1
        return []

    return handle


def test_words_of_an_earlier_step_do_not_hide_that_an_input_may_end_the_silence(process):
    connection, session = process.connection, process.session
    ask(process, "hello")
    session.words, session.words_due = "once upon", 1
    session.handle = lambda _message, _now_s: []
    connection.is_silent, connection.may_overwrite = True, True
    process.machine.handle(messages.TimerFired("any"), 0.0)
    assert (connection.is_silent, connection.may_overwrite) == (None, False)
    assert recovered(process, 6).words == "once upon"


def test_audio_of_a_relay_stores_a_record_if_the_journal_is_long(process):
    ask(process, "hello")
    process.session.handle, process.session.was_audio = lambda _message, _now_s: [], True
    process.connection.journal_from = process.shelf.read
    process.machine.handle(messages.ClientTextReceived("audio"), 0.0)
    assert process.session.written == 1
    process.shelf.asks_for_record = True
    process.machine.handle(messages.ClientTextReceived("audio"), 0.0)
    assert process.session.written == 2


def test_audio_leaves_the_answer_whether_the_user_is_silent(process):
    connection, session = process.connection, process.session
    ask(process, "hello")
    session.handle = lambda _message, _now_s: []
    for message, was_audio, is_known in (
        (messages.ClientBinaryReceived(b"pcm"), False, True),
        (messages.ClientTextReceived("audio"), True, True),
        (messages.ClientTextReceived("a question"), False, False),
        (messages.TimerFired("any"), False, False),
    ):
        session.was_audio = was_audio
        connection.is_silent, connection.may_overwrite = True, True
        connection.unhandled.newest = getattr(message, "text", None) or getattr(message, "data", None)
        process.machine.handle(message, 0.0)
        assert (connection.is_silent, connection.may_overwrite) == ((True, True) if is_known else (None, False))
    session.was_audio, session.handle = False, saying(session, "once upon")
    connection.is_silent, connection.may_overwrite = True, True
    process.machine.handle(messages.TimerFired("any"), 0.0)
    assert (connection.is_silent, connection.may_overwrite) == (True, True), "words of the agent"


def test_audio_around_which_a_guard_may_send_is_looked_at_as_any_input(process):
    connection, session = process.connection, process.session
    ask(process, "hello")
    session.is_exact, session.was_audio = False, True
    session.handle = lambda _message, _now_s: [messages.SendToClient("released")]
    connection.is_silent, connection.may_overwrite = True, True
    process.machine.handle(messages.ClientTextReceived("audio"), 0.0)
    assert (connection.is_silent, connection.may_overwrite) == (None, False)
    assert connection.emitted == ["released"]
    connection.write()
    session.handle = saying(session, "once upon")
    connection.is_silent, connection.may_overwrite = True, True
    process.machine.handle(messages.TimerFired("any"), 0.0)
    assert (connection.is_silent, connection.may_overwrite) == (None, False)


def test_audio_that_calls_for_a_record_asks_again_whether_the_user_is_silent(process):
    connection, session = process.connection, process.session
    ask(process, "hello")
    session.handle = lambda _message, _now_s: [messages.SendToClient("the limit is near")]
    for message in (messages.ClientBinaryReceived(b"pcm"), messages.ClientTextReceived("audio")):
        session.was_audio, session.record_due = True, session.record_due + 1
        connection.is_silent, connection.may_overwrite = True, True
        connection.unhandled.newest = getattr(message, "text", None) or getattr(message, "data", None)
        process.machine.handle(message, 0.0)
        assert (connection.is_silent, connection.may_overwrite) == (None, False)
        assert connection.emitted == ["the limit is near"]
        connection.write()


def test_a_record_ends_the_reads_that_overwrite_each_other(process):
    connection, session = process.connection, process.session
    ask(process, "hello")
    connection.may_overwrite = True
    session.handle = saying(session, "x" * 10_000)  # too long for a note
    process.machine.handle(messages.TimerFired("any"), 0.0)
    assert recovered(process, 6).value == b"after 1"
    assert (session.written, connection.may_overwrite) == (2, False)


def test_messages_that_are_handled_out_of_turn_end_the_reads_that_overwrite_each_other(process):
    connection, session = process.connection, process.session
    ask(process, "hello")
    session.handle, session.was_audio = lambda _message, _now_s: [], True
    for message, waiting in (
        (messages.ClientBinaryReceived(b"01234"), [b"0123456789"]),
        (messages.ClientTextReceived("one"), ["one", "two"]),
    ):
        connection.unhandled.note_read(waiting)
        connection.may_overwrite = True
        process.machine.handle(message, 0.0)
        assert not connection.may_overwrite
        assert len(connection.unhandled.messages()) == 1
        connection.unhandled.others.clear()


def test_a_long_journal_asks_for_a_record_at_the_next_step(process):
    ask(process, "hello")
    process.shelf.asks_for_record = True
    process.connection.journal_from = process.shelf.read
    process.machine.handle(messages.TimerFired("any"), 0.0)
    assert recovered(process, 6).value == b"after 2"


def test_a_connection_may_store_a_record_once_the_keeper_holds_the_session(process):
    assert process.connection.store is None  # until then the memory of the process before has the journal
    ask(process, "hello")
    process.connection.journal_from = process.shelf.read
    process.connection.store()
    assert (process.session.written, process.holds) == (2, [1])


def test_a_session_that_does_not_outlive_its_process_any_more_goes_on(process):
    ask(process, "hello")
    shelf, process.connection.shelf = process.connection.shelf, None
    assert process.machine.handle(messages.ClientTextReceived("again"), 0.0) == [messages.SendToClient("again!")]
    process.connection.shelf = shelf


def test_a_message_of_several_frames_that_was_half_read_is_read_again(process):
    ask(process, "hello")
    begun = masked(b"begun", 0x01) + masked(b"ping", 0x89) + masked(b"more", 0x80)[:4]
    read(process, masked(b"whole") + begun)
    found = recovered(process, 0)
    assert (found.journal, found.unread) == (["whole"], begun)


def test_a_machine_that_replaces_its_handler_is_asked_by_the_new_one(process):
    process.session.handle = lambda *_input: [messages.ProbeClient()]
    assert process.machine.handle(messages.ClientBinaryReceived(b""), 0.0) == [messages.ProbeClient()]
