"""The estimate of the audio that a caller has heard."""

import pytest
from hypothesis import given, strategies

from router.deepgram import messages as deepgram
from router.session.state.playback import MAX_ITEMS, MAX_MESSAGES, MAX_PIECES, Piece, Playback

DONE = deepgram.AgentAudioDone()


def piece(item_id="a", duration_s=1.0):
    return Piece(item_id, bytes(int(duration_s * 100)), duration_s)


def unheard_items(playback, now_s):
    return [(it.played.item_id, it.heard_s) for it in playback.unheard(now_s)]


def playback(max_ahead_s=1000.0, held_bytes=1_000_000, unread_bytes=1_000_000):
    return Playback(max_ahead_s, held_bytes, unread_bytes)


def test_sent_audio_is_heard_as_time_passes():
    it = playback()
    it.schedule(piece(), 10.0)
    it.schedule(piece(), 10.0)
    assert unheard_items(it, 10.0) == [("a", 0.0)]
    assert unheard_items(it, 11.5) == [("a", 1.5)]
    assert it.is_audible(11.9)
    assert unheard_items(it, 12.0) == []
    assert not it.is_audible(12.0)


def test_a_gap_between_pieces_is_a_gap_in_playback():
    it = playback()
    it.schedule(piece(), 10.0)
    it.schedule(piece(), 20.0)
    assert unheard_items(it, 20.25) == [("a", 1.25)]


def test_items_are_heard_one_after_the_other():
    it = playback()
    for item_id in "abc":
        it.schedule(piece(item_id), 0.0)
    assert unheard_items(it, 1.25) == [("b", 0.25), ("c", 0.0)]


def test_waiting_audio_is_not_heard():
    it = playback(max_ahead_s=0.5)
    for _ in range(3):
        it.schedule(piece(), 0.0)
    assert unheard_items(it, 100.0) == [("a", 1.0)]
    assert it.is_audible(100.0)


def test_stopped_audio_is_forgotten():
    it = playback(max_ahead_s=0.5)
    it.schedule(piece(), 0.0)
    it.schedule(piece(), 0.0)
    it.hold(DONE, 10)
    assert it.stop(0.25) == [DONE]
    assert (it.is_waiting, it.is_audible(0.25), unheard_items(it, 0.25), it.dropped_bytes) == (False, False, [], 100)


def test_only_the_newest_items_are_remembered():
    it = playback()
    for number in range(MAX_ITEMS + 5):
        it.schedule(piece(str(number)), 0.0)
    assert len(unheard_items(it, 0.0)) == MAX_ITEMS


@given(
    strategies.lists(
        strategies.tuples(strategies.sampled_from("ab"), strategies.floats(0.01, 3), strategies.floats(0, 3)),
        max_size=40,
    ),
    strategies.floats(0.5, 5),
)
def test_order_is_kept_nothing_is_lost_and_audio_is_never_too_far_ahead(script, max_ahead_s):
    it, now_s, scheduled, sent = playback(max_ahead_s), 0.0, [], []
    for number, (item_id, duration_s, pause_s) in enumerate(script):
        now_s += pause_s
        sent += [data for data in it.release(now_s) if isinstance(data, bytes)]
        data = bytes([number])
        scheduled.append(data)
        if it.schedule(Piece(item_id, data, duration_s), now_s):
            sent.append(data)
        assert it.ahead_s(now_s) <= max_ahead_s + 3
    while it.is_waiting:
        assert it.due_in_s(now_s) > 0
        now_s += it.due_in_s(now_s) + 0.001
        sent += [data for data in it.release(now_s) if isinstance(data, bytes)]
    assert sent == scheduled
    assert it.unheard(now_s + 1000) == []


def test_the_oldest_audio_beyond_the_bound_is_sent_early():
    it = playback(max_ahead_s=0.5, unread_bytes=200)
    sent = [it.schedule(Piece("a", bytes([n]) * 100, 1.0), 0.0) for n in range(5)]
    assert sent == [True, False, False, False, False]
    assert it.release_excess(0.0) == [b"\1" * 100, b"\2" * 100]
    assert it.ahead_s(0.0) == pytest.approx(3.0)


def test_more_audio_may_wait_for_a_client_that_is_seen_to_read():
    it = playback(max_ahead_s=0.5, held_bytes=300, unread_bytes=200)
    for _ in range(4):
        it.schedule(piece(), 0.0)
    it.is_trusted = True  # the client has answered a ping
    assert it.release_excess(0.0) == []
    assert len(it.release(10.0)) + len(it.release(20.0)) + len(it.release(30.0)) == 3
    assert not it.is_trusted


def test_audio_of_an_endless_answer_takes_bounded_memory_although_the_client_reads():
    it = playback(max_ahead_s=0.5, held_bytes=300, unread_bytes=200)
    it.schedule(piece(), 0.0)
    it.schedule(piece(), 0.0)
    it.is_trusted = True  # the client has answered a ping
    for sent in range(1, 1000):
        it.schedule(piece(), 0.0)
        assert len(it.release_excess(0.0)) == (sent > 2)


@pytest.mark.parametrize(("count", "size_bytes"), [(MAX_MESSAGES + 1, 10), (3, 400_000)])
def test_messages_that_wait_behind_audio_are_bounded_by_number_and_size(count, size_bytes):
    it = playback(max_ahead_s=0.5)
    it.schedule(piece(), 0.0)
    it.schedule(piece("b"), 0.0)
    for _ in range(count - 1):
        it.hold(DONE, size_bytes)
    assert it.release_excess(0.0) == []
    it.hold(DONE, size_bytes)
    assert it.release_excess(0.0) == [bytes(100), *[DONE] * count]
    assert (it.held_bytes, it.is_waiting) == (0, False)


def test_more_pieces_than_the_bound_are_sent_early_however_short_they_are():
    it = playback(max_ahead_s=0.5)
    it.schedule(Piece("a", bytes(100), 1.0), 0.0)
    for _ in range(MAX_PIECES + 2):
        assert not it.schedule(Piece("a", b"\1\0", 0.0), 0.0)
    assert it.release_excess(0.0) == [b"\1\0"] * 2


def test_the_waiting_audio_of_some_items_is_dropped_with_the_texts_behind_it():
    it = playback(max_ahead_s=0.5)
    for name in ("a", "a", "b"):
        it.schedule(piece(name), 10.0)
    text = deepgram.ConversationText(role="assistant", content="Hi.")
    it.hold(text, 20)
    it.hold(DONE, 10)
    it.drop_items(lambda item_id: item_id == "b", lambda message: message is not text)
    assert (it.held_bytes, it.dropped_bytes) == (110, 100)
    assert it.release(20.0) == [bytes(100), DONE]
    assert (it.held_bytes, it.is_waiting) == (0, False)
