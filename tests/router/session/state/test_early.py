"""Client input that arrived before the session was ready."""

import pytest

from router.session.inputs import MicrophoneAudio
from router.session.state.early import EarlyInputs


def early(max_messages=10, max_bytes=1000):
    return EarlyInputs(max_messages=max_messages, max_bytes=max_bytes)


def test_inputs_keep_their_order_and_small_pieces_of_audio_are_joined():
    it = early()
    for keep in (lambda: it.keep_message("one", 1), lambda: it.keep_message("two", 1)):
        keep()
        it.keep_audio(b"\1\1", 1000)
        it.keep_audio(b"\2\2", 1000)
    audio = MicrophoneAudio(b"\1\1\2\2")
    assert it.take() == ["one", audio, "two", audio]
    assert it.take() == []


def test_long_audio_is_not_joined():
    it = early()
    for _ in range(2):
        it.keep_audio(bytes(5000), 100_000)
    assert [len(piece.data) for piece in it.take()] == [5000, 5000]


@pytest.mark.parametrize(("max_messages", "max_bytes"), [(2, 1000), (10, 25)])
def test_a_message_beyond_a_bound_is_dropped(max_messages, max_bytes):
    it = early(max_messages, max_bytes)
    assert [it.keep_message(name, 10) for name in ("one", "two", "three")] == [True, True, False]
    assert it.take() == ["one", "two"]


def test_bounds_begin_anew_when_the_inputs_are_taken():
    it = early(max_messages=1)
    it.keep_message("one", 10)
    it.take()
    assert it.keep_message("two", 10)


def test_the_oldest_audio_is_dropped_across_pieces_and_messages():
    it = early()
    it.keep_audio(b"\1" * 6000, 8000)
    it.keep_message("one", 1)
    it.keep_audio(b"\2" * 4000, 8000)
    assert it.keep_audio(b"\3" * 5000, 8000) == 5000
    assert it.dropped_bytes == 7000
    assert it.take() == ["one", MicrophoneAudio(b"\2" * 3000), MicrophoneAudio(b"\3" * 5000)]
