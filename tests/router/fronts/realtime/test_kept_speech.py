"""Microphone audio that the upstream has made no turn of."""

import pytest

from router.fronts.realtime.kept_speech import MAX_MS, PREROLL_MS, PREROLL_S, Speech

CHUNK = "A" * 6400
"""100 ms of linear16."""


@pytest.fixture
def speech():
    return Speech()


def add(speech, ms, *, is_manual=False, pace_s=0.1):
    for at in range(ms // 100):
        speech.add(CHUNK, at * pace_s, bytes_per_ms=48, is_manual=is_manual)


def kept_ms(speech):
    return speech.held_bytes * 3 // 4 // 48


def test_while_the_user_is_silent_the_newest_audio_is_kept(speech):
    add(speech, 5000)
    assert kept_ms(speech) == pytest.approx(PREROLL_S * 1000, abs=200)
    assert speech.forgotten_chars == 0
    assert speech.appended_ms == 5000


@pytest.mark.parametrize("is_manual", [False, True])
def test_a_long_speech_is_kept_up_to_a_bound(speech, is_manual):
    if not is_manual:
        speech.begin("item")
    add(speech, MAX_MS + 1000, is_manual=is_manual)
    assert kept_ms(speech) == MAX_MS
    assert speech.forgotten_chars == len(CHUNK) * 10


def test_a_recording_that_comes_at_once_is_kept_whole(speech):
    add(speech, 5000, pace_s=0.0)
    assert kept_ms(speech) == 5000


def test_slow_audio_is_kept_for_a_second_at_least(speech):
    add(speech, 5000, pace_s=10.0)
    assert kept_ms(speech) == PREROLL_MS


def test_a_commit_takes_the_audio_that_came_before_it(speech):
    add(speech, 300, is_manual=True)
    speech.cut()
    add(speech, 200, is_manual=True)
    assert len(speech.commit()) == 3
    assert kept_ms(speech) == 200
    assert len(speech.commit()) == 2
    assert speech.held_bytes == 0


def test_a_refused_commit_gives_its_audio_back(speech):
    add(speech, 300, is_manual=True)
    speech.cut()
    add(speech, 200, is_manual=True)
    speech.uncut()
    assert len(speech.commit()) == 5


def test_a_clear_drops_the_audio_behind_the_last_commit(speech):
    add(speech, 300, is_manual=True)
    speech.cut()
    add(speech, 200, is_manual=True)
    speech.clear()
    assert kept_ms(speech) == 300


def test_another_upstream_counts_from_the_audio_that_it_gets(speech):
    add(speech, 5000, pace_s=10.0)
    speech.begin("item")
    segments = speech.take_segments()
    assert [len(segment) for segment in segments] == [10]
    speech.begin_again(1000)
    assert (speech.offset_ms, speech.is_repeated) == (4000, True)
    speech.add(CHUNK, 0.0, bytes_per_ms=48, is_manual=False, is_repeated=True)
    assert speech.appended_ms == 5000


def test_a_single_chunk_over_the_bound_is_kept(speech):
    speech.add("A" * 10_000_000, 0.0, bytes_per_ms=48, is_manual=False)
    assert speech.held_bytes == 10_000_000
