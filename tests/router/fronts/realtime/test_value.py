"""A relay as a value: written, put into another relay, refused."""

import json
import zlib

import msgspec
import pytest

from actors import messages as engine
from router.fronts.realtime import value
from router.fronts.realtime.relay import Timer
from router.session.snapshot import SnapshotError, UnknownVersionError
from tests.support.machine.realtime_book import AUDIO_SESSION, MANUAL_SESSION, RealtimeBook, message
from tests.support.machine.realtime_world import make_relay

PIECE = "A" * 640


def moved(book, *, is_planned=True, **adopted):
    """Let another process continue the session of a book."""
    book.relay = make_relay(memory=book.relay.memory())
    book.take()
    return book.feed(engine.ClientAdopted(is_planned=is_planned, **adopted))


def talk():
    book = RealtimeBook().ready()
    book.client("session.update", session={"instructions": "Be brief."})
    book.server("session.updated", session={"id": "sess_1", "instructions": "Be brief."})
    return book.ask().begin().write("One.").finish("One.")


def test_the_next_process_configures_its_upstream_and_repeats_the_conversation():
    book = moved(talk())
    assert book.sent == []
    (dialled,) = (it for it in book.others if isinstance(it, engine.OpenUpstream))
    assert (dialled.generation, dialled.route) == (2, "gpt-realtime-2.1")
    assert book.open().kinds_upstream() == ["session.update", "conversation.item.create", "conversation.item.create"]
    assert book.sent == []
    book.acknowledge(message("q1", "user", "one?")).acknowledge(message("a1", "assistant", "One."))
    assert book.sent == []
    assert book.ask("two?", "q2").sent[0]["previous_item_id"] == "a1"


def test_a_written_relay_is_the_same_as_the_relay():
    book = talk()
    data = book.relay.memory()
    twin = make_relay(memory=data)
    assert twin.memory() == data
    assert twin.describe() == book.relay.describe()
    assert twin.held_bytes() == book.relay.held_bytes()


def test_a_cut_answer_ends_and_continues_behind_its_words():
    book = moved(RealtimeBook().ready().ask().begin().write("One two"), is_planned=False)
    assert book.sent[-1]["type"] == "response.done"
    assert book.sent[-1]["response"]["status"] == "incomplete"
    book.take()
    book.open()
    assert book.upstream[-1]["type"] == "response.create"


def test_a_question_without_an_answer_is_asked_again_under_its_id():
    book = moved(RealtimeBook().ready().ask())
    assert book.sent == []
    book.open()
    assert [it["type"] for it in book.upstream] == ["conversation.item.create", "response.create"]


def test_waiting_and_unacknowledged_events_and_speech_move():
    book = RealtimeBook().ready(**AUDIO_SESSION)
    book.client("input_audio_buffer.append", audio=PIECE)
    book.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="s1")
    book.client("conversation.item.create", item=message("q1", "user", "one?"))
    book.lose().client("conversation.item.create", item=message("q2", "user", "two?"))
    before = book.relay.held_bytes()
    moved(book)
    assert book.relay.held_bytes() == before
    book.open(**AUDIO_SESSION)
    kinds = [it["type"] for it in book.upstream]
    assert kinds == ["conversation.item.create", "input_audio_buffer.append", "conversation.item.create"]


def test_a_brief_value_has_only_the_newest_audio_of_a_silent_user():
    for session, most in ((AUDIO_SESSION, 30), (MANUAL_SESSION, 100)):
        book = RealtimeBook().ready(**session)
        for _ in range(100):
            book.client("input_audio_buffer.append", audio=PIECE)
        held = book.relay.held_bytes()
        twin = make_relay(memory=book.relay.memory(is_brief=True))
        assert len(PIECE) < twin.held_bytes() <= most * len(PIECE)
        assert book.relay.held_bytes() == held


@pytest.mark.parametrize(("query", "expected"), [({"notices": "1"}, ["switchboard.session_recovered"]), ({}, [])])
def test_a_client_that_asked_for_notices_is_told_of_a_death_and_of_no_move(query, expected):
    for is_planned in (False, True):
        book = RealtimeBook(query=query).ready()
        book.relay = make_relay(memory=book.relay.memory(), query=query)
        book.feed(engine.ClientAdopted(is_planned=is_planned))
        assert book.kinds() == ([] if is_planned else expected)


def test_a_client_that_is_back_gets_its_session_at_once_and_only_if_it_had_one_before():
    book = moved(talk(), is_new_client=True)
    (created,) = book.sent
    assert (created["type"], created["session"]["instructions"]) == ("session.created", "Be brief.")
    assert book.open().kinds() == ["session.created"]
    assert moved(RealtimeBook(), is_new_client=True).sent == []


def test_a_session_that_has_run_for_a_while_counts_as_harmless():
    for step in (lambda book: book.fire(Timer.ADOPTION), lambda book: book.open().begin().write("One.").finish("One.")):
        book = talk()
        book.relay = make_relay(memory=book.relay.memory())
        state = book.relay.context.session.state
        state.adoptions = 2
        book.feed(engine.ClientAdopted())
        due = book.relay.marks.record_due
        step(book)
        assert state.adoptions == 0
        assert book.relay.marks.record_due > due


def test_a_drain_of_the_other_process_is_forgotten():
    book = talk()
    book.feed(engine.DrainBegan(5.0, keeps_idle=True))
    moved(book).open()
    assert book.feed(engine.TimerFired("realtime.ack")).ending is None
    assert book.relay.context.state.is_draining is False


def test_a_session_that_had_ended_ends_again():
    book = talk().feed(engine.EndRequested())
    code = book.ending.code
    assert moved(book).ending.code == code


def test_the_deltas_behind_a_record_count_as_far_as_they_were_sent():
    book = RealtimeBook().ready().ask().begin().write("One")
    record, marks = book.relay.memory(), book.relay.marks
    marks.note_stored()
    due = marks.record_due
    place = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
    book.take()
    for words in (" two", " three", " four"):
        book.server("response.output_text.delta", **place, delta=words)
    assert marks.record_due == due
    assert marks.words_due == 3
    sizes = [len(json.dumps(event)) for event in book.sent]
    book.relay = make_relay(memory=record)
    book.take()
    book.feed(engine.ClientAdopted(sent_bytes=sum(sizes[:2]), words=marks.take_words()))
    (done,) = (it for it in book.sent if it["type"] == "response.output_text.done")
    assert done["text"] == "One two three"


@pytest.mark.parametrize("at", [0, 1, 40, -30, -1])
def test_a_damaged_value_is_refused(at):
    data = bytearray(talk().relay.memory())
    data[at] ^= 0xFF
    with pytest.raises(SnapshotError):
        make_relay(memory=bytes(data))
    with pytest.raises(SnapshotError):
        make_relay(memory=bytes(data[:at]) or b"\x01")


def test_a_value_of_another_version_is_refused(monkeypatch):
    data = talk().relay.memory()
    monkeypatch.setattr(value.VALUE, "layout", value.VALUE.layout + 1)
    with pytest.raises(UnknownVersionError):
        make_relay(memory=data)


def test_a_value_whose_body_is_no_relay_is_refused():
    body = msgspec.msgpack.encode([9, 0])
    data = msgspec.msgpack.encode(["switchboard relay", value.VALUE.layout, zlib.crc32(body), body])
    with pytest.raises(SnapshotError, match="damaged"):
        make_relay(memory=data)


def test_a_value_without_a_layout_cannot_be_written():
    book = talk()
    book.relay.context.state.session_id = object()
    with pytest.raises(SnapshotError, match="object has no layout"):
        book.relay.memory()
