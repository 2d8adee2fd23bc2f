"""The detector: the start and the end of speech, in windows of 20 ms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.simulator.vad import SpeechStarted, SpeechStopped, Vad, power_of, vad_settings

RATE = 8000
SERVER = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 100, "silence_duration_ms": 200}


def audio(*parts):
    """Return samples: loud for a positive number of ms, silent for a negative one."""
    return np.concatenate([np.full(abs(ms) * RATE // 1000, 9000 if ms > 0 else 0, np.int16) for ms in parts])


def found(*parts, settings=SERVER):
    return list(Vad().feed(audio(*parts), RATE, vad_settings(settings)))


def test_speech_starts_with_its_padding_and_stops_with_the_silence_that_proved_it():
    assert found(-400, 300, -300) == [SpeechStarted(300), SpeechStopped(900)]


def test_the_padding_does_not_reach_before_the_audio():
    assert found(300) == [SpeechStarted(0)]


@pytest.mark.parametrize("parts", [(-400,), (-400, 20, -400), (20, -20, 20, -400)])
def test_a_click_is_no_speech(parts):
    assert found(*parts) == []


def test_a_short_silence_ends_no_speech():
    assert found(300, -180, 300, -300) == [SpeechStarted(0), SpeechStopped(980)]


@given(st.lists(st.integers(0, 4000), max_size=8))
def test_the_borders_of_the_pieces_make_no_difference(cuts):
    samples, settings, detector = audio(-200, 300, -300, 100, -300), vad_settings(SERVER), Vad()
    pieces = np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))

    changes = [change for piece in pieces for change in detector.feed(piece, RATE, settings)]
    assert changes == list(Vad().feed(samples, RATE, settings))


def test_a_reset_begins_anew_in_silence_at_a_position():
    detector = Vad()
    list(detector.feed(audio(300), RATE, vad_settings(SERVER)))
    detector.reset(5000)

    assert not detector.is_speaking
    assert list(detector.feed(audio(-200, 100), RATE, vad_settings(SERVER))) == [SpeechStarted(5100)]


@pytest.mark.parametrize(("threshold", "dbfs"), [(0, -60), (0.5, -40), (0.9, -24)])
def test_a_threshold_is_a_level_below_full_scale(threshold, dbfs):
    assert 10 * math.log10(power_of(threshold) / 32768**2) == pytest.approx(dbfs)


def test_nothing_is_louder_than_a_threshold_of_one():
    assert found(1000, settings={**SERVER, "threshold": 1}) == []


@pytest.mark.parametrize(("eagerness", "silence_ms"), [("high", 400), ("medium", 800), ("auto", 800), ("low", 1600)])
def test_semantic_vad_is_patient_by_its_eagerness(eagerness, silence_ms):
    assert vad_settings({"type": "semantic_vad", "eagerness": eagerness}).silence_duration_ms == silence_ms
