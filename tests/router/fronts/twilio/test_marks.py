"""A telephone call whose process dies: its notes tell how much of the session's audio has left."""

import base64
import itertools
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import messages as engine
from router import RouterConfig
from router.fronts.agents import checked
from router.fronts.front import Call
from router.fronts.twilio.machine import TelephoneCall
from router.fronts.twilio.marks import MAX_NOTES, TelephoneMarks, progress_of
from router.fronts.twilio.wires import COUSINS, TWILIO
from router.fronts.wire_bytes import wire_bytes
from tests.support.clients.telephone import STREAM, start_event

WIRES = {wire.name: wire for wire in (TWILIO, *COUSINS)}


class Session:
    """A session that sends the audio that a test gives it, and keeps its last input."""

    def __init__(self):
        self.record_due = self.words_due = 0
        self.is_exact = True
        self.words = ""
        self.audio = b""
        self.input = None
        self.was_audio = False
        self.may_drop_audio = bool

    def handle(self, message, _now_s):
        self.input = message
        audio, self.audio = self.audio, b""
        return [engine.SendToClient(audio)] if audio else []

    def note_stored(self):
        self.words = ""

    def take_words(self):
        words, self.words = self.words, ""
        return words


class PhoneBook:
    """A call, and the bytes that left for its telephone since the last record."""

    def __init__(self, wire=TWILIO, memory=b""):
        self.session = Session()
        config = RouterConfig()
        parts = {"agents": checked(config.agents), "config": config, "session_id": "s", "memory": memory}
        self.call = TelephoneCall(Call(session=self.session, machine=self.session, **parts), wire)
        self.marks = self.call.marks_around(self.session)
        self.frames = []
        self.stored = ""
        self.call._stream_sid = STREAM

    def store(self):
        self.marks.note_stored()
        self.memory, self.frames, self.stored = self.call.memory(), [], ""
        return self

    def play(self, audio):
        self.session.audio = audio
        due, words = self.marks.record_due, self.marks.words_due
        self.frames += [it.frame for it in self.call.handle(engine.EndRequested(), 0.0)]
        if self.marks.record_due != due:
            return self.store()
        if self.marks.words_due != words:
            self.stored += self.marks.take_words()
        return self

    def hear(self, event, **fields):
        text = json.dumps({"event": event, "streamSid": STREAM, **fields})
        return list(self.call.handle(engine.ClientTextReceived(text), 0.0))


def audio_of(frame):
    if isinstance(frame, bytes):
        return frame
    fields = json.loads(frame)
    content = next((it for it in fields.values() if isinstance(it, dict) and "payload" in it), {})
    return base64.b64decode(content["payload"]) if "payload" in content and "name" not in content["payload"] else b""


def test_no_piece_counts_behind_one_that_was_not_sent():
    stored = '["once ",[2200,1600,40]]\n["upon",[300,160,40]]\n'
    pong_bytes = 160
    assert progress_of(stored, pong_bytes) == ("once upon", [])
    assert progress_of(stored, 2240 + 300) == ("once upon", [1600, 160])


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
@given(
    before=st.integers(0, 9000),
    sizes=st.lists(st.integers(1, 12_000), max_size=8),
    share=st.floats(0, 1),
    words=st.text(),
)
def test_the_next_process_knows_how_much_of_the_audio_has_left(wire, before, sizes, share, words):
    book = PhoneBook(wire)
    book.store()
    if before:
        book.play(bytes(before))
    book.store()
    book.session.words = words
    waiting = len(book.call._playout.memory.rest)
    for size in sizes:
        book.play(bytes(size))
    # Whole frames leave, so cut the stream between two of them.
    left = book.frames[: int(len(book.frames) * share)]
    twin = PhoneBook(wire, book.memory)
    sent_bytes = sum(map(wire_bytes, left))
    twin.call.handle(engine.ClientAdopted(sent_bytes=sent_bytes, words=book.stored), 0.0)
    audio_bytes = sum(len(audio_of(frame)) for frame in left)
    expected = max(0, audio_bytes - waiting) if audio_bytes else 0
    if wire.has_binary_audio:  # a piece is several frames, and counts if most of it was sent
        assert abs(twin.session.input.sent_bytes - expected) <= wire.shape.piece_bytes
    else:
        assert twin.session.input.sent_bytes == expected
    assert twin.session.input.words == (words if book.stored else "")


def test_the_names_of_marks_go_on_behind_those_that_were_sent():
    book = PhoneBook().store().play(bytes(4000)).store().play(bytes(3200))
    names = [json.loads(it)["mark"]["name"] for it in book.frames if "mark" in json.loads(it)]
    twin = PhoneBook(memory=book.memory)
    adopted = engine.ClientAdopted(sent_bytes=sum(map(wire_bytes, book.frames)), words=book.stored)
    twin.call.handle(adopted, 0.0)
    twin.session.correct_playback = lambda left_s, _now_s: lefts.append(left_s)
    lefts = []
    for name in names:
        twin.hear("mark", mark={"name": name})
    assert lefts[-1] == 0
    twin.store().play(bytes(160))
    assert json.loads(twin.frames[-1])["mark"]["name"] not in names


def test_audio_and_marks_do_not_keep_the_journal_and_other_messages_do():
    book = PhoneBook()
    for event, fields, expected in (
        ("media", {"media": {"track": "inbound", "payload": "////"}}, True),
        ("dtmf", {"dtmf": {"digit": "1"}}, False),
        ("mark", {"mark": {"name": "0:1"}}, True),
        ("connected", {}, False),
    ):
        book.hear(event, **fields)
        assert book.marks.was_audio is expected
    assert start_event()["event"] == "start"


def test_a_call_that_nothing_stores_takes_no_notes_and_one_that_takes_many_is_stored():
    marks = TelephoneMarks(Session())
    marks.note(300, 160, 90)
    assert (marks.record_due, marks.words_due) == (1, 0)
    marks.note_stored()
    for _ in itertools.repeat(None, MAX_NOTES + 1):
        marks.note(300, 160, 90)
    assert (marks.record_due, marks.words_due) == (2, MAX_NOTES)


def test_the_signs_of_the_session_count_too():
    session = SimpleNamespace(record_due=3, is_exact=True, words_due=4, may_drop_audio=lambda: True)
    marks = TelephoneMarks(session)
    assert (marks.record_due, marks.words_due, marks.may_drop_audio()) == (3, 4, True)


def test_a_line_that_was_half_written_ends_the_notes():
    marks = TelephoneMarks(Session())
    marks.note_stored()
    marks.note(300, 160, 90)
    stored = marks.take_words()
    assert progress_of(stored + stored[:7], 10_000) == ("", [160])
    assert progress_of("", 10_000) == ("", [])
