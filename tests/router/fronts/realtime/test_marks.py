"""The signs that a relay's memory has to be stored: records for events, notes for deltas."""

from router.fronts.realtime.marks import AUDIO, MAX_NOTES, SPEECH, Marks, Progress, read_notes
from router.fronts.realtime.responses import Response
from tests.support.machine.realtime_book import AUDIO_SESSION, MANUAL_SESSION, RealtimeBook

FIRST = Progress("a1", 0, SPEECH, "One ")
SECOND = Progress("a1", 0, AUDIO, 640)
OTHER = Progress("a2", 1, SPEECH, "zwei")
FRAME = "x" * 100
SIZE = 102


def kept():
    """Return the marks of a relay that a keeper keeps."""
    marks = Marks()
    marks.note_stored()
    return marks


def test_an_event_calls_for_a_record_and_a_delta_for_a_note():
    marks = kept()
    marks.note(FRAME, None)
    assert (marks.record_due, marks.words_due) == (1, 0)
    marks.note(FRAME, FIRST)
    assert (marks.record_due, marks.words_due) == (1, 1)


def test_audio_may_be_dropped_while_the_user_is_silent_and_no_other_event_may():
    book = RealtimeBook().ready(**AUDIO_SESSION)
    marks = book.relay.marks
    book.client("input_audio_buffer.append", audio="AAAA")
    assert (marks.was_audio, marks.may_drop_audio()) == (True, True)
    book.client("response.cancel")
    assert not marks.was_audio
    book.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="s1")
    assert not marks.may_drop_audio()
    book.client("input_audio_buffer.commit").server("input_audio_buffer.committed", item_id="s1")
    assert marks.may_drop_audio()
    book.client("input_audio_buffer.commit")
    assert not marks.may_drop_audio(), "the commit names the audio before it"
    book = RealtimeBook().ready(**MANUAL_SESSION).client("input_audio_buffer.append", audio="AAAA")
    assert not book.relay.marks.may_drop_audio()
    book = RealtimeBook().ready(**AUDIO_SESSION).lose().client("input_audio_buffer.append", audio="AAAA")
    assert (book.relay.marks.was_audio, book.relay.marks.may_drop_audio()) == (False, False)


def test_without_a_keeper_no_note_is_kept():
    marks = Marks()
    for _ in range(MAX_NOTES):
        marks.note(FRAME, FIRST)
    assert marks.take_words() == ""


def test_more_notes_than_fit_call_for_a_record():
    marks = kept()
    for _ in range(MAX_NOTES + 1):
        marks.note(FRAME, FIRST)
    assert marks.record_due == 1


def test_notes_are_read_as_far_as_their_frames_were_sent():
    marks, words = kept(), ""
    for progress in (FIRST, SECOND, OTHER):
        marks.note(FRAME, progress)
        words += marks.take_words()
    assert list(read_notes(words, 3 * SIZE)) == [FIRST, SECOND, OTHER]
    assert list(read_notes(words, 2 * SIZE)) == [FIRST, SECOND]
    # The rest of a frame that was sent in part follows.
    assert list(read_notes(words, 2 * SIZE - 10)) == [FIRST, SECOND]
    assert list(read_notes(words, 0)) == []
    assert list(read_notes(words + "[[", 3 * SIZE)) == [FIRST, SECOND, OTHER]


def test_notes_behind_a_record_name_their_item_again():
    marks = kept()
    marks.note(FRAME, FIRST)
    marks.note_stored()
    marks.note(FRAME, SECOND)
    assert list(read_notes(marks.take_words(), SIZE)) == [SECOND]


def test_a_separator_of_lines_within_the_words_ends_no_note():
    marks, words = kept(), FIRST._replace(value="One\u2028two\x85three")
    marks.note(FRAME, words)
    assert list(read_notes(marks.take_words(), SIZE)) == [words]


def test_the_deltas_of_an_answer_call_for_few_records():
    book = RealtimeBook().ready().ask().begin().write("One")
    book.relay.marks.note_stored()
    due = book.relay.marks.record_due
    place = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
    for _ in range(20):
        book.server("response.output_audio.delta", **place, delta="AAAA")
        book.server("response.output_audio_transcript.delta", **place, delta=" two")
    assert book.relay.marks.record_due == due
    book.finish("One two")
    assert book.relay.marks.record_due > due


def test_the_first_delta_of_an_item_that_was_not_announced_calls_for_a_record():
    # Some servers announce no item, and some no response (upstream 12.4). A note would find nothing to add to.
    book = RealtimeBook().ready().ask().begin()
    for response, item in (("r1", "a1"), ("r2", "a2")):
        book.relay.marks.note_stored()
        due = book.relay.marks.record_due
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        book.server("response.output_text.delta", **place, delta="One")
        assert book.relay.marks.record_due == due + 1
        book.relay.marks.note_stored()
        book.server("response.output_text.delta", **place, delta=" two")
        assert book.relay.marks.record_due == due + 1


def test_a_delta_of_an_unknown_item_changes_nothing():
    response = Response({"id": "r1"}, None, is_outside=False)
    response.advance(FIRST)
    assert response.outputs == {}
