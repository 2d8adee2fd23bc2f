"""A transcription by Deepgram that another process continues."""

import json

import pytest

from actors import messages as engine
from router.fronts.call_limits import CallLimits, Playback, Wire
from router.fronts.deepgram_agent.waiting import Waiting
from router.fronts.listen.relay import ADOPTION_TIMER
from router.fronts.listen.value import LAYOUTS, MovableListenRelay
from router.session.machine import Session
from router.session.packing import fields_of
from router.session.profile import OPENAI
from router.session.recovery import replay
from router.session.snapshot import SnapshotError
from router.session.state.limited import Limited, Spending
from tests.router.fronts.listen.test_relay import FINAL, Book
from tests.support.machine.options import session_options

OPTIONS = session_options()
INTERIM = {**FINAL, "is_final": False}


class MovingBook(Book):
    """A transcription that may move to another process."""

    def __init__(self):
        super().__init__()
        self.relay = self.made()
        self.others = []
        self.feed(engine.ClientOpened())

    def made(self, memory=b""):
        return MovableListenRelay(Session("s", OPENAI, OPTIONS), memory)

    def moved(self, *, journal=(), memory=None, adoptions=0):
        """Let another process continue the session."""
        self.relay = self.made(memory or self.relay.memory(is_brief=True))
        self.relay._session.state.adoptions = adoptions
        self.sent, self.upstream, self.others = [], [], []
        self.sent += [it for it in replay(self.relay, journal, 0.0) if isinstance(it, engine.SendToClient)]
        return self.feed(engine.ClientAdopted())


MADE = {
    MovableListenRelay: lambda: MovingBook().relay,
    Waiting: lambda: Waiting(1, 1),
    CallLimits: lambda: CallLimits(OPTIONS, Wire(bool, list, list)),
    Limited: lambda: Limited(OPTIONS),
    Spending: lambda: Spending(OPTIONS),
    Playback: Playback,
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind.__name__)
def test_every_field_of_the_memory_is_stored_or_named_as_derived(layout):
    assert fields_of(MADE[layout.kind]()) == {*layout.stored, *layout.derived}


def test_a_written_relay_is_the_same_as_the_relay():
    book = MovingBook().opened().hear(b"one").server(**FINAL).hear(b"two")
    twin = book.made(book.relay.memory())
    assert twin.memory() == book.relay.memory()
    assert (twin.describe(), twin.held_bytes()) == (book.relay.describe(), book.relay.held_bytes())


def test_audio_without_final_words_is_sent_again_and_no_other():
    book = MovingBook().opened().hear(b"one").server(**FINAL).hear(b"two").server(**INTERIM)
    book.moved(journal=[b"three"]).opened(2).hear(b"four")
    assert book.upstream == [b"two", b"three", b"four"]
    assert book.sent == []


def test_a_stream_that_the_client_closed_is_closed_behind_its_last_audio():
    book = MovingBook().opened().hear(b"one").moved(journal=[json.dumps({"type": "CloseStream"})]).opened(2)
    assert book.upstream == [b"one", {"type": "CloseStream"}]


@pytest.mark.parametrize("journal", [[], [json.dumps({"type": "Finalize"})]], ids=["recorded", "journal"])
def test_a_demand_for_final_words_is_sent_again_in_its_place_until_they_come(journal):
    book = MovingBook().opened().hear(b"one")
    if not journal:
        book.client("Finalize").client("KeepAlive").hear(b"two")
    book.moved(journal=journal).opened(2).lose(2).opened(3)
    again = [b"one", {"type": "Finalize"}, *([] if journal else [b"two"])]
    assert book.upstream == [*again, *again]
    book.server(3, **FINAL).moved().opened(4)
    assert book.upstream == []


def test_a_call_moves_when_no_words_are_open():
    book = MovingBook()
    assert not book.relay.can_move
    assert book.opened().relay.can_move
    assert not book.server(**INTERIM).relay.can_move
    assert book.server(**FINAL).relay.can_move
    assert not book.client("CloseStream").relay.can_move


def test_final_words_answers_and_the_end_call_for_a_record():
    book = MovingBook().opened()
    marks = book.relay.marks
    for step, grows in (
        (lambda: book.hear(b"one"), False),
        (lambda: book.server(**INTERIM), False),
        (lambda: book.server(**FINAL), True),
        (lambda: book.feed(engine.ClientTextReceived("{")), True),
        (lambda: book.feed(engine.EndRequested()), True),
    ):
        due = marks.record_due
        step()
        assert (marks.record_due > due) is grows
    assert not marks.may_drop_audio()


@pytest.mark.parametrize(
    "proves", [lambda book: book.feed(engine.TimerFired(ADOPTION_TIMER)), lambda book: book.server(2, **FINAL)]
)
def test_a_session_that_has_run_for_a_while_or_got_words_counts_as_harmless(proves):
    book = MovingBook().opened().moved(adoptions=2)
    assert any(it.name == ADOPTION_TIMER for it in book.others if isinstance(it, engine.StartTimer))
    proves(book.opened(2))
    assert book.relay._session.state.adoptions == 0


def test_a_session_that_had_ended_ends_again_in_the_same_way():
    book = MovingBook().opened().feed(engine.EndRequested())
    ending = book.ending
    assert book.moved().ending == ending


def test_a_damaged_value_is_refused():
    data = bytearray(MovingBook().opened().relay.memory())
    data[-1] ^= 0xFF
    with pytest.raises(SnapshotError):
        MovingBook().made(bytes(data))
