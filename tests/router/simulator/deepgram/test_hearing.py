"""The user's turns, by loudness."""

import pytest

from router.simulator.deepgram.hearing import Heard, Hearing

LOUD = {"linear16": b"\x00\x20", "mulaw": b"\x10", "alaw": b"\x2a"}
QUIET = {"linear16": b"\x00\x00", "mulaw": b"\xff", "alaw": b"\xd5"}


@pytest.mark.parametrize("encoding", LOUD)
def test_loud_audio_is_speech_and_a_pause_ends_it(encoding):
    hearing = Hearing(encoding, 8000)
    frame = 160
    heard = [hearing.take(QUIET[encoding] * frame)]
    heard += [hearing.take(LOUD[encoding] * frame) for _ in range(10)]
    assert hearing.is_speech
    heard += [hearing.take(QUIET[encoding] * frame) for _ in range(30)]
    assert [it for it in heard if it is not Heard.NOTHING] == [Heard.BEGUN, Heard.ENDED]
    assert hearing.speech_s == pytest.approx(0.2)


def test_a_click_is_no_speech():
    hearing = Hearing("linear16", 8000)
    assert hearing.take(LOUD["linear16"] * 160) is Heard.NOTHING
    assert hearing.take(b"") is Heard.NOTHING
