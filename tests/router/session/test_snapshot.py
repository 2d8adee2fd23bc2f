"""A session as a value: written, read back, refused."""

import msgspec
import pytest

from actors import messages
from router.session import snapshot as snapshots
from router.session.snapshot import SnapshotError, UnknownVersionError, count_adoption, open_envelope, restore, snapshot
from tests.support.machine.beginnings import asked
from tests.support.machine.playbook import (
    Playbook,
    delta,
    response_created,
    response_done,
    settings,
    text_done,
    transcript_delta,
)

TURNS = 60
"""The turns of a conversation of ten minutes: a question and an answer every ten seconds."""


def conversation(profile="converse", turns=TURNS):
    """Return a spoken conversation of 150 words a minute, with its microphone open."""
    book = Playbook(profile).ready(settings(greeting="Hello, how can I help you today?"))
    for turn in range(turns):
        book.after(10.0).client(*[bytes(4800)] * 5)
        speech, response = f"speech_{turn:020}", f"resp_{turn:020}"
        book.upstream(
            {"type": "input_audio_buffer.speech_started", "item_id": speech},
            {"type": "input_audio_buffer.speech_stopped", "item_id": speech},
            {"type": "input_audio_buffer.committed", "item_id": speech},
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": speech,
                "transcript": f"and what about the {turn}th of them, do you think that it is of any use to us",
            },
            response_created(response),
            {**transcript_delta("It surely is. ", f"answer_{turn:020}"), "response_id": response},
            delta(bytes(4800), response),
            {
                **text_done(
                    f"It surely is. The {turn}th is one of the better ones, if you ask me.", f"answer_{turn:020}"
                ),
                "response_id": response,
            },
            response_done(response),
        )
    return book.forget()


def test_a_snapshot_has_no_field_that_settings_left_out():
    # Each live session has a snapshot in memory (docs/decisions/0053), and settings leave most fields out.
    data = snapshot(Playbook("converse").ready().session)
    assert b"voice_prompt_opt_out" not in data
    assert len(data) < 1600


def test_a_conversation_of_ten_minutes_takes_less_than_64_kilobytes():
    book = conversation()
    data = snapshot(book.session)
    assert len(book.session.state.ledger) > TURNS
    assert len(data) < 64 * 1024
    restored = restore(data, book.session.context.options)
    assert snapshot(restored) == data
    assert restored.describe() == book.session.describe()


def test_a_snapshot_of_another_version_is_refused(monkeypatch):
    data = snapshot(Playbook().session)
    monkeypatch.setattr(snapshots, "LAYOUT", snapshots.LAYOUT + 1)
    with pytest.raises(UnknownVersionError, match=f"the snapshot has the version {snapshots.VERSION}"):
        restore(data, Playbook().session.context.options)


@pytest.mark.parametrize("at", [0, 1, 40, -30, -1])
def test_a_damaged_snapshot_is_refused(at):
    data = bytearray(snapshot(conversation(turns=1).session))
    data[at] ^= 0xFF
    with pytest.raises(SnapshotError):
        restore(bytes(data), Playbook().session.context.options)
    with pytest.raises(SnapshotError):
        restore(bytes(data[:at]), Playbook().session.context.options)


def test_a_snapshot_whose_body_is_of_no_session_is_refused():
    envelope = open_envelope(snapshot(Playbook().session))
    for body in (b"\x01", msgspec.msgpack.encode([9, 0]), msgspec.msgpack.encode([12, 3, 99])):
        changed = msgspec.structs.replace(envelope, body=body, body_sum=snapshots.zlib.crc32(body))
        with pytest.raises(SnapshotError, match="damaged"):
            restore(msgspec.msgpack.encode(changed), Playbook().session.context.options)


def test_a_value_without_a_layout_cannot_be_written():
    book = Playbook()
    book.session.state.model = object()
    with pytest.raises(SnapshotError, match="object has no layout"):
        snapshot(book.session)


def test_an_adoption_is_counted_without_the_session():
    data = count_adoption(count_adoption(snapshot(Playbook().session)))
    assert open_envelope(data).adoptions == 2
    assert restore(data, Playbook().session.context.options).state.adoptions == 2


def test_a_completed_turn_ends_the_count_of_adoptions():
    book = asked()
    book.session.state.adoptions = 2
    book.upstream(response_created(), text_done("Hi."), response_done())
    assert open_envelope(snapshot(book.session)).adoptions == 0


def test_the_times_of_another_machine_move_by_the_difference_of_the_clocks():
    book = Playbook("converse").ready().client({"type": "InjectUserMessage", "content": "hello"})
    data = snapshot(book.session, clock="a", unix_s=500.0)
    options = book.session.context.options
    same = restore(data, options, clock="a", now_s=7.0, unix_s=510.0).context
    other = restore(data, options, clock="b", now_s=7.0, unix_s=510.0).context
    # 10 s have passed: the other machine's clock shows 7 now, and showed -3 at the snapshot.
    assert same.timers == book.session.context.timers
    assert other.now_s == pytest.approx(-3.0)
    assert other.state.latency.asked_s == pytest.approx(-3.0)
    for name, due_s in same.timers.items():
        assert other.timers[name] == pytest.approx(due_s - 1003.0)
    back = restore(data, options, clock="b", now_s=7.0, unix_s=400.0).context
    assert back.now_s == pytest.approx(7.0)


# The signal for the next snapshot.


def count_of(book, step):
    before = book.session.snapshot_due
    step()
    return book.session.snapshot_due - before


def test_frames_of_the_microphone_call_for_no_snapshot():
    book = Playbook().ready()
    assert count_of(book, lambda: book.client(*[bytes(4800)] * 100)) == 0


def test_each_text_and_each_question_calls_for_a_snapshot():
    book = asked()
    assert count_of(book, lambda: book.upstream(response_created())) == 0
    assert count_of(book, lambda: book.upstream(text_done("Hi."))) == 1
    assert count_of(book, lambda: book.upstream(response_done())) == 1
    assert count_of(book, lambda: book.client({"type": "InjectUserMessage", "content": "and?"})) == 1


def test_the_words_of_an_answer_are_in_a_snapshot_before_the_caller_hears_them():
    book = asked(profile="converse").upstream(response_created())
    # The text runs ahead of the audio: one snapshot has all of it.
    book.upstream(transcript_delta("one two three four five six "))
    assert count_of(book, lambda: book.upstream(*[delta(bytes(4800))] * 10)) == 1
    assert count_of(book, lambda: book.upstream(transcript_delta("seven eight nine ten "))) == 0
    assert count_of(book, lambda: book.upstream(*[delta(bytes(4800))] * 10)) == 1
    assert count_of(book, lambda: book.upstream(*[delta(bytes(4800))] * 10)) == 0


def test_a_text_in_answer_to_microphone_audio_calls_for_a_snapshot():
    book = Playbook().ready()
    assert count_of(book, lambda: book.client(bytes(48_000 * 61))) == 1
    assert [frame["type"] for frame in book.frames_to_client] != []


def test_a_session_moves_between_turns():
    book = Playbook()
    assert book.session.can_move
    book.ready()
    assert book.session.can_move
    book.client({"type": "InjectUserMessage", "content": "hello"})
    assert not book.session.can_move
    book = asked().upstream(response_created(), text_done("Hi."))
    assert not book.session.can_move
    assert book.upstream(response_done()).session.can_move
    assert not book.feed(messages.ClientClosed(None)).session.can_move
