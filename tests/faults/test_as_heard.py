"""A caller's turn over real sockets: paced, interrupted, and remembered as it was heard."""

import time

import pytest

from router.config.model import Deadlines, Limits
from router.simulator import SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.talk import SPEECH, Conversation
from tests.support.faults.world import world

pytestmark = [pytest.mark.slow, pytest.mark.quiet]

BYTES_PER_S = 48_000
QUESTION = "Please remember: " + "the ships sail over the sea. " * 4
TIMEOUT_S = 20.0
LISTEN_S = 0.1
LATE_MS = 100
"""How much later than the router this process may have begun to count."""
PIECE_S = 0.25
"""The longest that one piece of the simulator's audio may be."""


def arrivals(client):
    """When each byte of audio had come at the latest: seconds since the first piece, seconds of audio."""
    heard = [(at, frame) for at, frame in zip(client.times_s, client.frames, strict=True) if isinstance(frame, bytes)]
    total = 0.0
    for at, frame in heard:
        total += len(frame) / BYTES_PER_S
        yield at - heard[0][0], total


def texts(client):
    """What was said."""
    return [frame for frame in client.frames if isinstance(frame, dict) and frame["type"] == "ConversationText"]


def truncations(simulator):
    """What the upstream was told to forget."""
    (record,) = simulator.connections
    return [event for event in record.events if event["type"] == "conversation.item.truncate"]


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_audio_that_is_made_at_once_is_sent_as_it_is_played_and_whole(profile):
    ahead_s = 0.5
    simulator, limits = SimulatorConfig(pace=0, ms_per_character=15), Limits(audio_ahead_s=ahead_s)
    with world(simulator, limits=limits, deadlines=Deadlines()) as here, WireClient(here.url(profile)) as client:
        Conversation(client, "audio").apply_settings()
        client.say("InjectUserMessage", content=QUESTION)
        client.wait_for("AgentAudioDone", timeout_s=TIMEOUT_S)
        came = list(arrivals(client))
        said = " ".join(words["content"] for words in texts(client) if words["role"] == "assistant")
    assert all(heard_s - elapsed_s <= ahead_s + PIECE_S for elapsed_s, heard_s in came)
    assert came[-1][1] == pytest.approx(len(said) * 0.015, abs=0.02)
    assert came[-1][1] > 2 * ahead_s


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_upstream_is_told_what_a_caller_who_interrupts_has_heard(profile):
    with world(SimulatorConfig(pace=0), deadlines=Deadlines()) as here, WireClient(here.url(profile)) as client:
        conversation = Conversation(client, "audio")
        conversation.apply_settings()
        client.say("InjectUserMessage", content=QUESTION)
        client.wait_until(lambda frame: isinstance(frame, bytes), "audio", TIMEOUT_S)
        started_s = time.monotonic()
        client.wait_for("AgentAudioDone", timeout_s=TIMEOUT_S)
        client.hear(LISTEN_S)
        for chunk in SPEECH:
            client.send_audio(chunk)
        client.wait_for("UserStartedSpeaking", timeout_s=TIMEOUT_S)
        elapsed_ms = (time.monotonic() - started_s) * 1000
        client.wait_for("AgentAudioDone", timeout_s=TIMEOUT_S)  # of the answer to what was said into it
        # On a busy machine the answer may be here before the simulator has read what it was told meanwhile.
        assert conversation.hear_until(lambda: bool(truncations(here.simulator)), TIMEOUT_S)
        (truncation,) = truncations(here.simulator)
    assert 0 < truncation["audio_end_ms"] <= elapsed_ms + LATE_MS


def test_a_caller_who_lets_the_button_go_is_answered():
    with world(SimulatorConfig(pace=0), deadlines=Deadlines()) as here, WireClient(here.url("converse")) as client:
        Conversation(client, "audio").apply_settings()
        loud = [chunk for chunk in SPEECH if any(chunk)]
        for chunk in loud:
            client.send_audio(chunk)
        client.wait_for("UserStartedSpeaking", timeout_s=TIMEOUT_S)
        client.wait_for("AgentAudioDone", timeout_s=TIMEOUT_S)
