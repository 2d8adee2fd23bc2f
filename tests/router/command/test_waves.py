"""WAV files in all widths, and errors as sentences."""

import struct
import wave

import pytest

from router.command import waves
from router.errors import StartError


def write(path, samples, *, width=2, rate=16000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return path


@pytest.mark.parametrize(
    ("width", "sample"),
    [
        (1, b"\x90"),
        (2, struct.pack("<h", 4096)),
        (3, b"\0" + struct.pack("<h", 4096)),
        (4, struct.pack("<i", 4096 << 16)),
    ],
)
def test_every_width_has_the_same_samples(tmp_path, width, sample):
    path = write(tmp_path / "a.wav", sample * 100, width=width)
    assert waves.read(path) == struct.pack("<h", 4096) * 100


def test_two_channels_become_one(tmp_path):
    path = write(tmp_path / "a.wav", struct.pack("<hh", 1000, 3000) * 100, channels=2)
    assert waves.read(path) == struct.pack("<h", 2000) * 100


def test_another_rate_is_converted(tmp_path):
    assert len(waves.read(write(tmp_path / "a.wav", bytes(2 * 44100), rate=44100))) == pytest.approx(32000, abs=400)


def test_a_recorder_writes_a_wav_file_that_can_be_read(tmp_path):
    recorder = waves.Recorder(tmp_path / "out.wav")
    recorder.add(b"\1\0" * 24000)
    recorder.close()
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (24000, 24000)


def test_a_file_that_cannot_be_used_is_a_sentence(tmp_path):
    with pytest.raises(StartError, match="cannot be read: No such file"):
        waves.read(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(StartError, match=r"text\.wav is not a WAV file of PCM"):
        waves.read(tmp_path / "text.wav")
    with pytest.raises(StartError, match="96000 samples per second"):
        waves.read(write(tmp_path / "fast.wav", bytes(200), rate=96000))
    with pytest.raises(StartError, match="cannot be written"):
        waves.Recorder(tmp_path / "none" / "out.wav")
