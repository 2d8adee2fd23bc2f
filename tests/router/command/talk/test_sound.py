"""Microphone and loudspeaker, with a library in the place of sounddevice: a test machine has no sound card."""

import sys
import types

import pytest

from actors.connections.blocking import HungUp
from router.command.talk import sound
from router.errors import StartError


class Stream:
    def __init__(self, callback, **options):
        self.callback = callback
        self.options = options
        self.is_open = False

    def start(self):
        self.is_open = True

    def close(self):
        self.is_open = False


@pytest.fixture
def library(monkeypatch):
    module = types.ModuleType("sounddevice")
    module.RawOutputStream = module.RawInputStream = Stream
    module.PortAudioError = type("PortAudioError", (Exception,), {})
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


@pytest.mark.usefixtures("library")
def test_the_loudspeaker_plays_the_samples_and_then_silence():
    devices = sound.Sound(lambda _: None)
    devices.play(b"\1\2\3\4\5\6")
    played = bytearray(4)
    devices._speaker.callback(played, 2, None, None)
    assert played == b"\1\2\3\4"
    devices._speaker.callback(played, 2, None, None)
    assert played == b"\5\6\0\0"
    devices.close()
    assert not devices._speaker.is_open


@pytest.mark.usefixtures("library")
def test_samples_that_were_not_played_can_be_dropped():
    devices = sound.Sound(lambda _: None)
    devices.play(b"\1\2\3\4")
    devices.fall_silent()
    played = bytearray(4)
    devices._speaker.callback(played, 2, None, None)
    assert played == bytes(4)


@pytest.mark.usefixtures("library")
def test_the_microphone_sends_each_frame():
    sent = []
    devices = sound.Sound(sent.append)
    assert devices._microphone.options["blocksize"] == 320
    devices._microphone.callback(bytearray(b"\1\2"), 1, None, None)
    assert sent == [b"\1\2"]


@pytest.mark.usefixtures("library")
def test_a_call_that_ends_raises_nothing_on_the_thread_of_the_library():
    def send(_frame):
        raise HungUp(1000, "")

    sound.Sound(send)._microphone.callback(b"\1\2", 1, None, None)


def test_a_missing_library_is_a_sentence_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(StartError, match=r"needs the library sounddevice: pip install 'switchboard-voice\[talk\]'"):
        sound.Sound(lambda _: None)


def test_a_missing_device_is_a_sentence(library):
    def fail(**_options):
        raise library.PortAudioError("no default device")

    library.RawInputStream = fail
    with pytest.raises(StartError, match="no microphone or loudspeaker can be opened: no default device"):
        sound.Sound(lambda _: None)


def test_a_missing_system_library_is_a_sentence(monkeypatch):
    def fail(_name):
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(sound.importlib, "import_module", fail)
    with pytest.raises(StartError, match="install Debian's libportaudio2"):
        sound.Sound(lambda _: None)
