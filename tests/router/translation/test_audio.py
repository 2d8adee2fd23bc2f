"""The microphone and the speaker, between the formats of a client and of its upstreams."""

import base64
import itertools
import subprocess
import sys

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.audio.convert import converted
from router.audio.formats import ALAW_8K, LINEAR16_24K, MULAW_8K, Format, Recording
from router.translation.audio import APPEND_BYTES, BRIEF_MS, Microphone, Speaker
from tests.support.data.tones import cut, levels_of, linear16, noise_db, tone
from tests.support.processes.further import examples

LINEAR16_16K = Format("linear16", 16_000)
CLIENT = [LINEAR16_16K, Format("linear32", 48_000), MULAW_8K, ALAW_8K, Format("alaw", 16_000)]
UPSTREAM = [LINEAR16_24K, MULAW_8K, ALAW_8K]


def microphone(source=LINEAR16_16K, target=LINEAR16_24K, preroll_s=0.5, max_s=60.0):
    made = Microphone(source, preroll_s=preroll_s, max_s=max_s)
    made.use(target)
    return made


def speaker_of(target=LINEAR16_24K, source=LINEAR16_24K):
    made = Speaker(target)
    made.use(source)
    return made


def audio_of(frames):
    return b"".join(base64.b64decode(orjson.loads(frame)["audio"]) for frame in frames)


def base64_of(data):
    return base64.b64encode(data).decode()


# The microphone.


@pytest.mark.parametrize("source", CLIENT)
@pytest.mark.parametrize("target", UPSTREAM)
def test_a_client_s_audio_reaches_the_upstream_in_its_format(source, target):
    data = converted(Recording(linear16(tone(440, 24_000, 0.5)), LINEAR16_24K), Format("linear16", source.rate))
    if source.encoding == "linear32":
        data = (levels_of(data) / 32768).astype("<f4").tobytes()
    elif source.encoding != "linear16":
        data = converted(Recording(data, Format("linear16", source.rate)), source)
    mic = microphone(source, target)
    mic.is_speech = True

    audio = audio_of([*itertools.chain.from_iterable(map(mic.append, cut(data, seed=2))), *mic.finish()])
    heard = levels_of(converted(Recording(audio, target), Format("linear16", target.rate)))
    assert noise_db(tone(440, target.rate, 0.5), heard, target.rate) > 30
    assert converted(mic.commit(), target) == audio


@pytest.mark.parametrize("target", UPSTREAM)
def test_a_turn_ended_by_hand_is_filled_up_to_100_ms_with_silence(target):
    mic = microphone(target=target)

    mic.append(bytes(640))  # 20 ms
    frames = mic.finish()
    audio = mic.commit()
    assert audio.duration_ms == 100
    assert converted(audio, target).endswith(target.silence(80))
    assert audio_of(frames).endswith(target.silence(80))


@pytest.mark.parametrize("target", UPSTREAM)
def test_silence_is_silence_in_the_upstream_s_format(target):
    assert audio_of(microphone(target=target).silence(300)) == target.silence(300)


@pytest.mark.parametrize("target", UPSTREAM)
def test_the_kept_audio_is_bounded_by_its_length(target):
    mic = microphone(MULAW_8K, target, preroll_s=0.5, max_s=2.0)
    for _ in range(200):
        mic.append(MULAW_8K.silence(20))
    assert mic.forgotten_bytes == 0, "the user was silent"
    assert 480 <= Recording(audio_of(mic.resend()), target).duration_ms <= 500

    mic.is_speech = True
    for _ in range(200):
        mic.append(MULAW_8K.silence(20))
    assert 1980 <= mic.commit().duration_ms <= 2000
    assert mic.forgotten_bytes > 0


@pytest.mark.parametrize("source", CLIENT)
@pytest.mark.parametrize("target", UPSTREAM)
def test_audio_is_kept_in_the_smaller_of_the_two_formats(source, target):
    mic = microphone(source, target)
    mic.append(source.silence(100))
    assert mic.commit().format == min(source, target, key=lambda it: it.bytes_per_s)


def test_audio_whose_conversion_is_costly_is_kept_converted():
    """A restart would convert a minute of it in one step."""
    mic = microphone(Format("linear16", 12_345), LINEAR16_24K)
    mic.append(mic.source.silence(100))
    assert mic.commit().format == LINEAR16_24K


@given(seed=st.integers(0, 1000))
@settings(deadline=None)
def test_a_sample_that_a_commit_cuts_in_two_belongs_to_the_next_turn(seed):
    mic = microphone()
    mic.is_speech = True
    data = linear16(tone(440, 16_000, 0.5))
    committed = []
    for piece in cut(data, seed=seed):
        mic.append(piece)
        committed.append(mic.commit().data)
    assert b"".join(committed) == data


def test_no_append_is_longer_than_a_frame_may_be():
    mic = microphone(LINEAR16_24K)

    frames = mic.append(bytes(APPEND_BYTES + 2))
    assert [len(orjson.loads(frame)["audio"]) for frame in frames] == [APPEND_BYTES // 3 * 4, 4]


def test_the_next_upstream_may_take_another_format():
    """Nothing is lost: neither the kept audio, nor what the filter holds back, nor half a sample."""
    data = linear16(tone(440, 16_000, 0.6))
    mic = microphone(target=MULAW_8K)
    mic.is_speech = True
    mic.append(data[:9601])

    mic.use(LINEAR16_24K)
    kept = mic.resend()
    mic.append(data[9601:])
    mic.finish()
    heard = levels_of(converted(mic.commit(), LINEAR16_24K))
    assert Recording(audio_of(kept), LINEAR16_24K).duration_ms == 300
    assert len(heard) == pytest.approx(0.6 * 24_000, abs=3)
    first, second = slice(240, 6960), slice(7440, 14160)
    expected = tone(440, 24_000, 0.6)
    assert np.abs(heard[first] - expected[first]).max() < 700, "mu-law's own noise"
    assert np.abs(heard[second] - expected[second]).max() < 300, "up to a sample in time, and no more"


def test_an_upstream_like_the_one_before_changes_nothing():
    mic = microphone()
    mic.append(bytes(641))
    mic.use(LINEAR16_24K)

    assert len(audio_of(mic.resend() + mic.append(bytes(639)) + mic.finish())) >= 1920


def test_inserted_silence_goes_before_half_a_sample():
    mic = microphone(LINEAR16_16K)
    mic.append(linear16(np.full(160, 1000.0))[:-1])
    mic.silence(20)
    mic.append(linear16(np.full(160, 1000.0))[-1:])

    kept = levels_of(mic.commit().data)
    assert set(kept) == {0.0, 1000.0}
    assert (len(kept), kept[-1]) == (160 + 320, 1000.0)


def test_appended_audio_is_uncommitted_until_a_commit():
    mic = microphone(target=ALAW_8K)
    assert not mic.has_uncommitted

    mic.append(bytes(640))
    mic.use(LINEAR16_24K)
    assert mic.has_uncommitted
    mic.commit()
    assert not mic.has_uncommitted


def test_a_clear_forgets_only_the_audio_before_it():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    clear = mic.note_clear()
    mic.append(b"\x02\x02" * 320)
    mic.clear(clear, commits=0)
    assert audio_of(mic.resend()) == b"\x02\x02" * 320


def test_a_commit_behind_a_clear_takes_the_audio_between_the_two():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    clear = mic.note_clear()
    mic.append(b"\x02\x02" * 320)
    mic.note_commit()
    mic.append(b"\x03\x03" * 320)
    mic.clear(clear, commits=1)
    assert mic.commit().data == b"\x02\x02" * 320
    assert mic.commit().data == b"\x03\x03" * 320


def test_a_clear_forgets_nothing_where_a_commit_took_the_audio_before_it():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    clear = mic.note_clear()
    mic.commit()
    mic.append(b"\x02\x02" * 320)
    mic.clear(clear, commits=0)
    assert mic.commit().data == b"\x02\x02" * 320


def test_of_two_clears_on_their_way_each_forgets_the_audio_before_it():
    mic = microphone(target=LINEAR16_16K)
    places = []
    for loudness in (b"\x01\x01", b"\x02\x02"):
        mic.append(loudness * 320)
        if places:
            mic.note_commit()
        places.append(mic.note_clear())
    mic.append(b"\x03\x03" * 320)
    mic.clear(places[0], commits=1)
    assert mic.commit().data == b"\x02\x02" * 320
    mic.clear(places[1], commits=0)
    assert mic.commit().data == b"\x03\x03" * 320


def test_a_commit_of_nothing_behind_a_clear_takes_no_audio_that_comes_later():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    clear = mic.note_clear()
    mic.note_commit()
    mic.append(b"\x02\x02" * 320)
    mic.clear(clear, commits=1)
    assert mic.is_committing_nothing


def test_audio_before_a_clear_that_the_upstream_lost_is_uncommitted_again():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    mic.note_clear()
    assert not mic.has_uncommitted
    mic.await_clear(None)
    assert mic.has_uncommitted


def test_a_late_commit_leaves_the_audio_behind_a_clear_that_is_on_its_way():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    mic.note_commit()
    clear = mic.note_clear()
    mic.append(b"\x02\x02" * 320)
    mic.keep_commits(0)
    mic.commit()
    mic.clear(clear, commits=0)
    assert mic.has_uncommitted


def test_a_commit_behind_a_clear_has_100_ms_of_its_own():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 3200)
    clear = mic.note_clear()
    assert not mic.has_uncommitted
    mic.append(b"\x02\x02" * 320)
    assert mic.has_uncommitted
    assert audio_of(mic.finish()) == LINEAR16_16K.silence(80)
    mic.clear(clear, commits=1)
    assert mic.commit().duration_ms == 100


def test_the_next_upstream_has_no_clear_to_acknowledge():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    mic.note_clear()
    mic.append(b"\x02\x02" * 320)
    assert audio_of(mic.resend()) == b"\x02\x02" * 320
    assert mic.has_uncommitted
    assert mic.commit().data == b"\x02\x02" * 320


def test_a_commit_before_a_clear_on_its_way_keeps_its_audio_for_the_next_upstream():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    mic.note_commit()
    mic.note_clear()
    assert audio_of(mic.resend()) == b"\x01\x01" * 320


def test_a_commit_whose_audio_another_commit_took_keeps_no_cleared_audio_for_the_next_upstream():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 320)
    mic.note_commit()
    mic.commit()
    mic.reopen_commit()
    mic.append(b"\x02\x02" * 320)
    mic.note_clear()
    mic.append(b"\x03\x03" * 320)
    assert audio_of(mic.resend()) == b"\x03\x03" * 320


def test_a_clear_from_before_a_change_of_format_leaves_the_audio_after_it():
    mic = microphone(target=LINEAR16_16K)
    mic.append(b"\x01\x01" * 3200)
    place = mic.note_clear()
    mic.append(b"\x02\x02" * 320)
    mic.use(MULAW_8K)
    mic.clear(place, commits=0)
    assert mic.has_uncommitted
    assert mic.commit().data == converted(Recording(b"\x02\x02" * 320, LINEAR16_16K), MULAW_8K)


STEPS = st.one_of(
    st.integers(1, 1500).map(lambda size: ("append", size)),
    st.integers(1, 50).map(lambda duration_ms: ("silence", duration_ms)),
    st.sampled_from(UPSTREAM).map(lambda target: ("use", target)),
    st.sampled_from([("resend", None), ("commit", None)]),
)


@given(source=st.sampled_from(CLIENT), steps=st.lists(STEPS, max_size=25), is_speech=st.booleans())
@settings(deadline=None, max_examples=examples(200))
def test_the_kept_audio_is_all_since_the_last_commit_after_any_steps(source, steps, is_speech):
    """To a few samples, which a filter holds back or rounds; beyond the bound, the newest is kept."""
    mic = microphone(source, preroll_s=0.05, max_s=10.0)
    mic.is_speech = is_speech
    sent_ms = slack_ms = 0.0
    for step, value in steps:
        slack_ms += 0.3
        if step == "append":
            frames = mic.append(bytes(value))
            sent_ms += source.duration_ms(value)
            assert len(audio_of(frames)) % mic.target.sample_bytes == 0
        elif step == "silence":
            mic.silence(value)
            sent_ms += value
        elif step == "use":
            mic.use(value)
        elif step == "resend":
            resent_ms = mic.target.duration_ms(len(audio_of(mic.resend())))
            assert resent_ms == pytest.approx(min(sent_ms, sent_ms if is_speech else 50), abs=slack_ms + 3.5)
        else:
            kept = mic.commit()
            assert len(kept.data) % kept.format.sample_bytes == 0
            assert kept.duration_ms == pytest.approx(min(sent_ms, sent_ms if is_speech else 50), abs=slack_ms + 3.5)
            sent_ms = slack_ms = 0.0


@pytest.mark.parametrize("frame_bytes", [640, 320, 1000, 642, 16_000, 20_000])
def test_the_pre_roll_has_the_newest_audio_in_its_order_and_takes_no_more_memory(frame_bytes):
    it = microphone()
    sent = b""
    for number in range(200):
        frame = bytes([number]) * frame_bytes
        sent += frame
        it.append(frame)
        assert len(it._kept) <= 16_000
    assert it._recording().data == sent[-16_000:]
    assert it.forgotten_bytes == 0


@pytest.mark.parametrize("frame_bytes", [640, 641, 1000, 16_000])
def test_a_brief_form_has_the_newest_audio_at_each_place_of_the_ring(frame_bytes):
    it = microphone()
    sent = b""
    for number in range(60):
        frame = bytes(number + at * 7 % 191 for at in range(frame_bytes))
        sent += frame
        it.append(frame)
        whole_bytes = len(sent) - len(sent) % 2
        with it.shortened():
            begin = max(0, whole_bytes - BRIEF_MS * 32)
            assert it._recording().data == sent[begin:whole_bytes]
        assert len(it._kept[: it._start] if it._is_filling else it._kept) >= min(len(sent), 15_998)


def test_a_pre_roll_is_one_buffer_from_the_first_frame_on():
    """Each new buffer lies elsewhere in the heap, which keeps the memory around it from being returned."""
    it = microphone()
    it.append(bytes(640))
    kept = it._kept
    for _ in range(200):
        it.append(bytes(640))
    assert it._kept is kept


@pytest.mark.parametrize("frames", [0, 1, 24])
def test_a_pre_roll_that_fills_has_only_the_audio_that_came(frames):
    it = microphone()
    sent = b"".join(bytes([number]) * 640 for number in range(1, frames + 1))
    for at in range(0, len(sent), 640):
        it.append(sent[at : at + 640])
    assert audio_of(it.resend()) == converted(Recording(sent, LINEAR16_16K), LINEAR16_24K)
    it.silence(20)
    it.append(bytes([9]) * 640)
    assert it.commit().data == (sent + bytes(640) + bytes([9]) * 640)[-16_000:]


def test_speech_continues_the_pre_roll():
    it = microphone()
    sent = bytes(at * 7 % 251 for at in range(640 * 60))
    for at in range(0, 640 * 30, 640):
        it.append(sent[at : at + 640])
    it.is_speech = True
    for at in range(640 * 30, 640 * 60, 640):
        it.append(sent[at : at + 640])
    assert it.commit().data == sent[640 * 5 :]


# The speaker.


@given(
    cuts=st.lists(st.integers(0, 4000), max_size=8),
    source=st.sampled_from(UPSTREAM),
    target=st.sampled_from([LINEAR16_24K, Format("linear16", 44_100), Format("linear16", 8_000), MULAW_8K, ALAW_8K]),
)
@settings(deadline=None, max_examples=examples(60))
def test_the_end_of_a_delta_is_not_audible(cuts, source, target):
    data = converted(Recording(linear16(tone(500, 24_000, 0.1)), LINEAR16_24K), source)
    speaker = speaker_of(target, source)
    ends = [0, *sorted(min(end, len(data)) for end in cuts), len(data)]

    pieces = [speaker.convert(base64_of(data[a:b]), "r1") for a, b in itertools.pairwise(ends)]
    pieces.append(speaker.finish())
    assert b"".join(pieces) == converted(Recording(data, source), target)
    assert all(len(piece) % target.sample_bytes == 0 for piece in pieces)
    assert sum(map(speaker.duration_s, pieces)) == pytest.approx(0.1, abs=0.001)


def test_a_new_response_begins_without_the_rest_of_another():
    speaker = speaker_of(Format("linear16", 16_000))
    speaker.convert(base64_of(linear16(tone(440, 24_000, 0.1)) + b"\x55"), "r1")

    assert set(speaker.convert(base64_of(bytes(4800)), "r2") + speaker.finish()) == {0}


def test_dropped_audio_is_not_played_at_the_end():
    speaker = speaker_of(MULAW_8K)
    speaker.convert(base64_of(linear16(tone(440, 24_000, 0.1))), "r1")

    speaker.drop()
    assert speaker.finish() == b""


def test_the_rest_of_a_response_comes_once():
    speaker = speaker_of(Format("linear16", 48_000))
    played = speaker.convert(base64_of(bytes(480)), "r1")

    assert len(played + speaker.finish()) == 960
    assert speaker.finish() == b""


def test_a_delta_that_is_not_base64_is_an_error():
    with pytest.raises(ValueError, match=r"(?i)base64|character|padding"):
        speaker_of().convert("%%%", "r1")


@pytest.mark.slow
def test_a_telephone_whose_format_the_upstream_takes_loads_no_numpy():
    program = """
import sys
from router.audio.formats import MULAW_8K
from router.session.machine import Session
from router.translation.audio import Microphone, Speaker
microphone, speaker = Microphone(MULAW_8K, preroll_s=1.0, max_s=1.0), Speaker(MULAW_8K)
microphone.use(MULAW_8K)
speaker.use(MULAW_8K)
assert microphone.append(b"abc") and microphone.finish() and microphone.resend()
assert speaker.convert("YWJj", "r1") == b"abc"
assert speaker.finish() == b""
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_two_commits_on_their_way_take_the_audio_of_each():
    mic = microphone_with_three_turns()
    assert mic.commit().data == b"\x01\x01" * 3200
    assert mic.commit().data == b"\x02\x02" * 3200
    assert mic.has_uncommitted
    assert mic.commit().data == b"\x03\x03" * 3200


def microphone_with_three_turns():
    """Return a microphone with two turns whose commits are on their way, and audio behind them."""
    mic = Microphone(LINEAR16_24K, preroll_s=1.0, max_s=10.0)
    mic.is_speech = True
    for value in (b"\x01\x01", b"\x02\x02"):
        mic.append(value * 3200)
        mic.finish()
    mic.append(b"\x03\x03" * 3200)
    return mic


def test_a_commit_that_is_refused_leaves_its_audio_to_the_next_one():
    mic = microphone_with_three_turns()
    mic.keep_commits(1)
    assert mic.commit().data == b"\x01\x01" * 3200 + b"\x02\x02" * 3200
    assert mic.commit().data == b"\x03\x03" * 3200


def test_a_second_commit_has_100_ms_of_its_own():
    mic = Microphone(LINEAR16_24K, preroll_s=1.0, max_s=10.0)
    mic.is_speech = True
    mic.append(bytes(48_000))
    mic.finish()
    mic.append(bytes(480))
    mic.finish()
    assert mic.commit().duration_ms == 1000
    assert mic.commit().duration_ms == 100


def test_a_reopened_commit_takes_no_audio_of_a_later_one():
    mic = microphone_with_three_turns()
    assert mic.commit().data == b"\x01\x01" * 3200
    mic.reopen_commit()
    assert mic.commit().data == b""
    assert mic.commit().data == b"\x02\x02" * 3200
