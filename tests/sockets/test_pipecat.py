"""pipecat-ai, an independent implementation of telephone services' messages: it reads ours, and we read its."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from router.audio import g711
from router.fronts.twilio import messages as twilio
from router.fronts.twilio.wires import COUSINS, EXOTEL, TWILIO, VONAGE
from tests.support.clients.telephone import STREAM

PROGRAM = Path(__file__).resolve().parents[1] / "support" / "clients" / "pipecat_serializer.py"
MULAW = bytes(range(256))
PCM = g711.decoded("mulaw", MULAW)
TIMEOUT_S = 60.0
WIRES = (TWILIO, *COUSINS)


def audio_of(wire):
    return PCM if wire in (EXOTEL, VONAGE) else MULAW


def given_for(wire):
    # The callers' audio has one event on every wire, and Plivo's name for the other direction is another.
    stream = {wire.stream_key: STREAM}
    if wire is VONAGE:
        digit = json.dumps({"event": "websocket:dtmf", "digit": "#", "duration": 260})
        pcm = base64.b64encode(PCM).decode()
        return {"stream_sid": STREAM, "media": pcm, "pcm": pcm, "digit": digit}
    return {
        "stream_sid": STREAM,
        "media": json.dumps({**json.loads(twilio.media(STREAM, audio_of(wire), wire)), "event": "media"}),
        "pcm": base64.b64encode(PCM).decode(),
        "digit": json.dumps({"event": "dtmf", **stream, "dtmf": {"track": "inbound_track", "digit": "#"}}),
    }


@pytest.fixture(scope="module")
def answers():
    """What pipecat makes of our messages, and its own, for each service."""
    folder = os.environ.get("SWITCHBOARD_CLIENTS", "")
    python = Path(folder) / "pipecat" / "bin" / "python"
    if not python.exists():
        pytest.skip("SWITCHBOARD_CLIENTS names no folder with pipecat-ai (.ci/run makes one)")
    how = {"capture_output": True, "text": True, "timeout": TIMEOUT_S}
    given = json.dumps({wire.name: given_for(wire) for wire in WIRES})
    done = subprocess.run([str(python), str(PROGRAM)], check=True, input=given, **how)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request):
    """Each wire."""
    return request.param


@pytest.fixture
def pipecat(answers, wire):
    """The answers for one service."""
    return answers[wire.name]


def test_pipecat_reads_our_audio(pipecat):
    assert base64.b64decode(pipecat["pcm"]) == PCM


def test_we_write_the_audio_of_pipecat(pipecat, wire):
    if wire is VONAGE:
        assert base64.b64decode(pipecat["media"]) == PCM
        return
    theirs, ours = json.loads(pipecat["media"]), json.loads(twilio.media(STREAM, audio_of(wire), wire))
    payload = base64.b64decode(theirs["media"].pop("payload"))
    assert (payload if wire is EXOTEL else g711.decoded("mulaw", payload)) == PCM
    del ours["media"]["payload"]
    assert theirs == ours


def test_pipecat_interrupts_as_we_do(pipecat, wire):
    assert json.loads(pipecat["clear"]) == json.loads(twilio.clear(STREAM, wire))


def test_both_read_the_same_key(pipecat, wire):
    assert pipecat["digit"] == "#"
    assert twilio.decode(given_for(wire)["digit"], wire) == twilio.Dtmf("#")
