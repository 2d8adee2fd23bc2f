"""A spoken turn in every format, over real sockets on both sides, with the simulator as upstream."""

import re

import numpy as np
import pytest
from websockets.sync.client import connect

from router.audio.convert import converted
from router.audio.formats import LINEAR16_24K, Format, Recording
from router.config.model import Limits
from router.config.upstream import Upstream
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
    """An upstream that is (not) known to speak G.711."""
    return {"upstreams": (Upstream(url=simulator.url, g711=g711),)}


def settings_for(heard, spoken):
    audio = [{"encoding": encoding, "sample_rate": rate} for encoding, rate in (heard, spoken)]
    return {**SETTINGS, "audio": {"input": audio[0], "output": audio[1] | {"container": "none"}}}


def spoken_turn(encoding, rate):
    """Somebody speaks for a second, and then is silent."""
    levels = np.concatenate((tone(300, rate, SPEECH_S, amplitude=9000), np.zeros(round(PAUSE_S * rate))))
    if encoding == "linear32":
        return linear32(levels)
    pcm = Recording(np.rint(levels).astype("<i2").tobytes(), Format("linear16", rate))
    return converted(pcm, Format(encoding, rate))


def hold_turn(client, heard, spoken):
    """The texts of a spoken turn, and the audio of its answer."""
    apply_settings(client, settings_for(heard, spoken))
    data = spoken_turn(*heard)
    frame_bytes = Format(*heard).size_bytes(FRAME_MS) + 1  # cut within samples, too
    for at in range(0, len(data), frame_bytes):
        client.send(data[at : at + frame_bytes])
    frames = receive_until(client, "AgentAudioDone")
    texts = {it["role"]: it["content"] for it in frames if isinstance(it, dict) and it["type"] == "ConversationText"}
    return texts, b"".join(it for it in frames if isinstance(it, bytes))


def said(text, upstream_format, spoken):
    """What the simulator's voice sounds like in the client's format."""
    formats = {PCM: LINEAR16_24K, PCMU: Format("mulaw", 8_000), PCMA: Format("alaw", 8_000)}
    data = voice.speech_chunk(text, 0, len(text) * MS_PER_CHARACTER, upstream_format, MS_PER_CHARACTER)
    return converted(Recording(data, formats[upstream_format]), Format(*spoken))


def heard_s(texts):
    """How long the simulator heard the user speak: it says so instead of a transcript."""
    return float(re.fullmatch(r"\(speech, ([\d.]+) seconds\)", texts["user"])[1])


def native(encoding, rate):
    return {("mulaw", 8_000): PCMU, ("alaw", 8_000): PCMA}.get((encoding, rate), PCM)


def asked_for(simulator):
    """The formats that the router asked for, update by update."""
    updates = simulator.connections[0].of_type("session.update")
    audio = [update["session"]["audio"] for update in updates]
    return [(it["input"]["format"]["type"], it["output"]["format"]["type"]) for it in audio]


@pytest.mark.parametrize("g711", [True, False])
@pytest.mark.parametrize(("heard", "spoken"), PAIRS)
def test_a_turn_is_heard_and_answered_in_the_client_s_formats(simulator, heard, spoken, g711):
    with serving("openai", **known(simulator, g711=g711)) as (_, url), connect(url) as client:
        texts, audio = hold_turn(client, heard, spoken)
        upstream = (native(*heard), native(*spoken)) if g711 else (PCM, PCM)
        assert asked_for(simulator) == [upstream]
        assert heard_s(texts) == pytest.approx(SPEECH_S + 0.5, abs=0.11), "with the silence that proved its end"
        assert audio == said(texts["assistant"], upstream[1], spoken), "byte for byte"


def test_an_upstream_that_refuses_g711_hears_linear16(simulator):
    fault = {"error_code": "invalid_value", "message": "no such format"}
    simulator.add_fault(Fault(point=FaultPoint.SESSION_UPDATE, action=FaultAction.ERROR, **fault))
    heard = spoken = ("mulaw", 8_000)
    with serving("openai", **known(simulator, g711=True)) as (_, url), connect(url) as client:
        texts, audio = hold_turn(client, heard, spoken)
        assert asked_for(simulator) == [(PCMU, PCMU), (PCM, PCM)]
        assert heard_s(texts) == pytest.approx(SPEECH_S + 0.5, abs=0.11)
        assert audio == said(texts["assistant"], PCM, spoken)


def test_what_the_user_says_on_the_telephone_survives_a_loss(simulator):
    """The upstream goes in mid-speech: the next one hears all of it, in mu-law as it was."""
    simulator.add_fault(Fault(point=FaultPoint.SPEECH_STARTED, action=FaultAction.RESET))
    heard = spoken = ("mulaw", 8_000)
    all_of_it = Limits(preroll_s=SPEECH_S + PAUSE_S)  # it comes faster than anybody speaks
    with serving("openai", **known(simulator, g711=True), limits=all_of_it) as (_, url), connect(url) as client:
        texts, _ = hold_turn(client, heard, spoken)
        assert heard_s(texts) == pytest.approx(SPEECH_S + 0.5, abs=0.11)
        assert simulator.connections[-1].of_type("session.update")[0]["session"]["audio"]["input"]["format"] == {
            "type": PCMU
        }
