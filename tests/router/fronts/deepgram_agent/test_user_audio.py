"""The speech that the next upstream hears again."""

from router.fronts.deepgram_agent.user_audio import MAX_BYTES, PREROLL_BYTES, Speech


def test_silence_is_not_heard_again():
    speech = Speech()
    speech.add(b"silence")
    assert speech.again() == []


def test_speech_is_heard_again_with_a_little_of_the_time_before_it():
    speech = Speech()
    for number in range(100):
        speech.add(bytes([number]) * 1000)
    speech.begin()
    speech.add(b"word")
    again = speech.again()
    assert again[-1] == b"word"
    assert sum(map(len, again)) <= PREROLL_BYTES + 4
    speech.end()
    assert speech.again() == []


def test_endless_speech_has_a_bound():
    speech = Speech()
    speech.begin()
    for _ in range(MAX_BYTES // 50_000 + 5):
        speech.add(bytes(50_000))
    assert sum(map(len, speech.again())) <= MAX_BYTES


def test_speech_that_is_dropped_is_counted_and_silence_is_not():
    speech = Speech()
    for _ in range(10):
        speech.add(bytes(10_000))
    assert speech.dropped_bytes == 0
    speech.begin()
    for _ in range(5):
        speech.add(bytes(MAX_BYTES // 4))
    assert speech.dropped_bytes > 0
    speech.end()
    assert speech.dropped_bytes == 0


def test_empty_frames_are_not_kept():
    speech = Speech()
    speech.begin()
    speech.add(b"")
    assert speech.again() == []
