"""The frames that wait for an upstream."""

from router.fronts.deepgram_agent.waiting import MAX_AUDIO_BYTES, Waiting


def test_frames_leave_in_their_order_and_texts_of_a_lost_upstream_come_first():
    waiting = Waiting(10, 1000)
    assert waiting.keep_text("one")
    assert not waiting.keep_audio(b"two")
    waiting.put_back(["a", "b"])
    assert (waiting.texts, waiting.size_bytes) == (3, 8)
    assert waiting.take() == ["a", "b", "one", b"two"]
    assert (waiting.texts, waiting.size_bytes, waiting.take()) == (0, 0, [])


def test_a_text_beyond_a_bound_is_refused():
    waiting = Waiting(2, 10)
    assert [waiting.keep_text(text) for text in ("12345", "1234567", "ä", "x")] == [True, False, True, False]


def test_the_oldest_audio_goes_first_and_no_text_with_it():
    waiting = Waiting(10, 1000)
    waiting.keep_text("kept")
    dropped = [waiting.keep_audio(bytes([number]) * (MAX_AUDIO_BYTES // 4)) for number in range(6)]
    assert dropped == [False, False, False, False, True, False]
    assert waiting.dropped_bytes == MAX_AUDIO_BYTES // 2
    assert [frame if isinstance(frame, str) else frame[0] for frame in waiting.take()] == ["kept", 2, 3, 4, 5]
