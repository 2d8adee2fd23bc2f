"""A spoken turn in every audio format: real sockets on both sides, the simulator as upstream."""

import re

import msgspec
import numpy as np
import pytest
from websockets.sync.client import connect

from router.assembly.options import OptionsMaker
from router.audio.convert import converted
from router.audio.formats import LINEAR16_24K, Format, Recording
from router.config.upstream import Upstream
from router.session.options import Bounds
from router.simulator import Fault, FaultAction, FaultPoint, voice
from tests.support.data.tones import linear32, tone
from tests.support.machine.playbook import SETTINGS
from tests.support.processes.serving import apply_settings, receive_until, serving, simulating

pytestmark = pytest.mark.slow

MS_PER_CHARACTER = 20
SPEECH_S, PAUSE_S = 1.0, 0.8
FRAME_MS = 20
PCM, PCMU, PCMA = "audio/pcm", "audio/pcmu", "audio/pcma"

CLIENT = [
    ("linear16", 16_000),
    ("linear16", 12_345),
    ("linear16", 48_000),
    ("linear32", 44_100),
    ("mulaw", 8_000),
    ("alaw", 8_000),
    ("mulaw", 16_000),
]
SPOKEN = [("linear16", 8_000), ("linear16", 44_100), ("mulaw", 8_000), ("alaw", 8_000), ("alaw", 16_000)]
PAIRS = [(heard, SPOKEN[at % len(SPOKEN)]) for at, heard in enumerate(CLIENT)]
PAIRS += [(CLIENT[at % len(CLIENT)], spoken) for at, spoken in enumerate(SPOKEN)]


@pytest.fixture
def simulator():
    with simulating(pace=0, ms_per_character=MS_PER_CHARACTER) as simulator:
        yield simulator


def known(simulator, *, g711):
    """Configure one upstream that is, or is not, known to speak G.711."""
    return {"upstreams": (Upstream(url=simulator.url, g711=g711),)}


def settings_for(heard, spoken):
    audio = [{"encoding": encoding, "sample_rate": rate} for encoding, rate in (heard, spoken)]
    return {**SETTINGS, "audio": {"input": audio[0], "output": audio[1] | {"container": "none"}}}


def spoken_turn(encoding, rate):
    """Return a second of speech, and silence after it."""
    levels = np.concatenate((tone(300, rate, SPEECH_S, amplitude=9000), np.zeros(round(PAUSE_S * rate))))
    if encoding == "linear32":
        return linear32(levels)
    pcm = Recording(np.rint(levels).astype("<i2").tobytes(), Format("linear16", rate))
    return converted(pcm, Format(encoding, rate))


def hold_turn(client, heard, spoken):
    """Hold a spoken turn, and return its texts and the audio of its answer."""
    apply_settings(client, settings_for(heard, spoken))
    data = spoken_turn(*heard)
    frame_bytes = Format(*heard).size_bytes(FRAME_MS) + 1  # cut within samples, too
    for at in range(0, len(data), frame_bytes):
        client.send(data[at : at + frame_bytes])
    frames = receive_until(client, "AgentAudioDone")
    texts = {it["role"]: it["content"] for it in frames if isinstance(it, dict) and it["type"] == "ConversationText"}
    return texts, b"".join(it for it in frames if isinstance(it, bytes))


def speech_in(text, upstream_format, spoken):
    """Return the sound of the simulator's voice in the client's format."""
    formats = {PCM: LINEAR16_24K, PCMU: Format("mulaw", 8_000), PCMA: Format("alaw", 8_000)}
    data = voice.speech_chunk(text, 0, len(text) * MS_PER_CHARACTER, upstream_format, MS_PER_CHARACTER)
    return converted(Recording(data, formats[upstream_format]), Format(*spoken))


def heard_s(texts):
    """Return the duration of the user's speech, which the simulator says in place of a transcript."""
    return float(re.fullmatch(r"\(speech, ([\d.]+) seconds\)", texts["user"])[1])


def native(encoding, rate):
    return {("mulaw", 8_000): PCMU, ("alaw", 8_000): PCMA}.get((encoding, rate), PCM)


def asked_for(simulator):
    """Return the formats that the router asked for, update by update."""
    updates = simulator.connections[0].of_type("session.update")
    audio = [update["session"]["audio"] for update in updates]
    return [(it["input"]["format"]["type"], it["output"]["format"]["type"]) for it in audio]


@pytest.mark.parametrize("g711", [True, False])
@pytest.mark.parametrize(("heard", "spoken"), PAIRS)
def test_a_turn_is_understood_and_answered_in_the_client_s_formats(simulator, heard, spoken, g711):
    with serving("openai", **known(simulator, g711=g711)) as (_, url), connect(url) as client:
        texts, audio = hold_turn(client, heard, spoken)
        upstream = (native(*heard), native(*spoken)) if g711 else (PCM, PCM)
        assert asked_for(simulator) == [upstream]
        assert heard_s(texts) == pytest.approx(SPEECH_S + 0.5, abs=0.11), "with the silence that proved its end"
        assert audio == speech_in(texts["assistant"], upstream[1], spoken), "byte for byte"


def test_an_upstream_that_refuses_g711_gets_linear16(simulator):
    fault = {"error_code": "invalid_value", "message": "no such format"}
    simulator.add_fault(Fault(point=FaultPoint.SESSION_UPDATE, action=FaultAction.ERROR, **fault))
    heard = spoken = ("mulaw", 8_000)
    with serving("openai", **known(simulator, g711=True)) as (_, url), connect(url) as client:
        texts, audio = hold_turn(client, heard, spoken)
        assert asked_for(simulator) == [(PCMU, PCMU), (PCM, PCM)]
        assert heard_s(texts) == pytest.approx(SPEECH_S + 0.5, abs=0.11)
        assert audio == speech_in(texts["assistant"], PCM, spoken)


@pytest.fixture
def long_preroll(monkeypatch):
    """Have the microphone keep a whole turn while the user is silent: the test sends faster than a user speaks."""
    options = OptionsMaker.of

    def with_long_preroll(*given):
        return msgspec.structs.replace(options(*given), bounds=Bounds(preroll_s=SPEECH_S + PAUSE_S))

    monkeypatch.setattr(OptionsMaker, "of", with_long_preroll)


@pytest.mark.usefixtures("long_preroll")
def test_speech_on_the_telephone_survives_a_loss(simulator):
    """The upstream is lost in the middle of speech: the next one gets all of it, still in mu-law."""
    simulator.add_fault(Fault(point=FaultPoint.SPEECH_STARTED, action=FaultAction.RESET))
    heard = spoken = ("mulaw", 8_000)
    with serving("openai", **known(simulator, g711=True)) as (_, url), connect(url) as client:
        texts, _ = hold_turn(client, heard, spoken)
        assert heard_s(texts) == pytest.approx(SPEECH_S + 0.5, abs=0.11)
        assert simulator.connections[-1].of_type("session.update")[0]["session"]["audio"]["input"]["format"] == {
            "type": PCMU
        }
