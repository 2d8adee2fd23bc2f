"""The audio that was sent to Twilio, and the part that was played."""

from hypothesis import given
from hypothesis import strategies as st

from router.fronts.twilio.playout import Playout
from router.fronts.twilio.wires import LINEAR, MULAW

FRAME_BYTES, PIECE_BYTES, SILENCE = MULAW.frame_bytes, MULAW.piece_bytes, MULAW.silence

SECOND = bytes(range(250)) * 32


def test_audio_leaves_in_pieces_that_are_whole_frames_and_the_first_is_one_frame():
    pieces = Playout().add(SECOND)
    last_bytes = len(SECOND) - FRAME_BYTES - 4 * PIECE_BYTES
    assert [len(piece.audio) for piece in pieces] == [FRAME_BYTES, *[PIECE_BYTES] * 4, last_bytes]
    assert b"".join(piece.audio for piece in pieces) == SECOND


def test_the_first_piece_after_a_pause_is_one_frame_again():
    playout = Playout()
    for piece in playout.add(SECOND):
        playout.left_s(piece.mark)
    assert [len(piece.audio) for piece in playout.add(SECOND)][:2] == [FRAME_BYTES, PIECE_BYTES]


@given(st.lists(st.integers(0, 500)))
def test_nothing_is_added_but_silence_at_the_end_and_nothing_is_lost(sizes):
    playout = Playout()
    given_audio = [SECOND[:size] for size in sizes]
    pieces = [piece for audio in given_audio for piece in playout.add(audio)] + playout.finish()
    sent, expected = b"".join(piece.audio for piece in pieces), b"".join(given_audio)
    assert sent[: len(expected)] == expected
    assert sent[len(expected) :] == SILENCE * (-len(expected) % FRAME_BYTES)
    assert len({piece.mark for piece in pieces}) == len(pieces)
    assert playout.finish() == []


def test_a_returned_mark_gives_the_length_of_the_audio_that_is_not_played():
    playout = Playout()
    first, second, *_ = playout.add(SECOND)
    assert playout.left_s(first.mark) == 1.0 - 0.02
    assert playout.left_s(second.mark) == 1.0 - 0.02 - 0.2
    assert playout.left_s(second.mark) is None, "it came already"


def test_a_mark_counts_for_those_before_it():
    playout = Playout()
    first, second, *_ = playout.add(SECOND)
    assert playout.left_s(second.mark) == 1.0 - 0.22
    assert playout.left_s(first.mark) is None


def test_audio_that_waits_for_a_whole_frame_is_not_played_yet():
    playout = Playout()
    (piece,) = playout.add(SECOND[:240])
    assert playout.left_s(piece.mark) == 0.01
    (last,) = playout.finish()
    assert last.audio == SECOND[160:240] + SILENCE * 80
    assert playout.left_s(last.mark) == 0.0, "the silence does not count"


def test_marks_from_before_a_clear_mean_nothing():
    playout = Playout()
    before = playout.add(SECOND)
    playout.clear()
    after = playout.add(SECOND[:1000])
    assert [playout.left_s(piece.mark) for piece in before] == [None] * len(before)
    assert not {piece.mark for piece in before} & {piece.mark for piece in after}
    assert playout.left_s(after[0].mark) == 0.105


def test_a_clear_drops_the_audio_that_waits_for_a_whole_frame():
    playout = Playout()
    playout.add(SECOND[:100])
    playout.clear()
    assert playout.finish() == []
    assert playout.left_s("a stranger's") is None


def test_linear_audio_leaves_in_messages_of_the_smallest_size_and_is_timed_by_its_own_rate():
    playout = Playout(LINEAR)
    pieces = playout.add(SECOND)  # half a second of linear audio
    assert [len(piece.audio) for piece in pieces] == [3200, 3200]
    assert playout.left_s(pieces[0].mark) == 0.3
    (last,) = playout.finish()
    assert last.audio == SECOND[6400:].ljust(3200, b"\0")


def test_another_playback_goes_on_where_one_ended():
    one, other = Playout(), Playout()
    for playout in (one, other):
        playout.clear()
        playout.add(SECOND)
    moved = Playout(memory=one.memory)
    for mark in ("1:1", "0:1"):
        assert moved.left_s(mark) == other.left_s(mark)
    assert moved.add(SECOND) == other.add(SECOND)
    assert moved.finish() == other.finish()


def test_pieces_of_another_process_count_like_its_own():
    one = Playout()
    one.add(SECOND[:200])
    two = Playout(memory=one.memory)
    sizes = [len(piece.audio) for piece in one.add(SECOND)]
    assert two.advance(sizes) == sum(sizes) - 40
    assert two.memory.waiting == one.memory.waiting
    assert two.advance([]) == 0
