"""Recorded conversations of real services, replayed: the client receives the right messages, in order."""

import pytest

from tests.support.data.recordings import recording
from tests.support.machine.playbook import AUDIO_DONE, Playbook, assistant, user
from tests.support.machine.replay import client_frames, recorded_texts, replayed


@pytest.mark.parametrize("name", ["openai-text-in-audio-out", "azure-text-in-audio-out", "xai-text-in-audio-out"])
def test_a_text_turn_is_answered_in_text_and_audio(name):
    book = replayed(name)
    frames = client_frames(book)
    (answer,) = recorded_texts(name)
    roles = [frame["role"] for frame in frames if frame != "audio" and "role" in frame]
    assert roles == ["user"] + ["assistant"] * (len(roles) - 1)
    sentences = [frame["content"] for frame in frames if frame != "audio" and frame.get("role") == "assistant"]
    assert " ".join(sentences) == answer
    if not name.startswith("xai"):  # xAI sends the transcript behind the audio
        assert frames.index("audio") > frames.index(assistant(sentences[0]))
    assert "audio" in frames
    assert frames[-1] == AUDIO_DONE
    assert all(len(frame) % 2 == 0 for frame in book.frames_to_client if isinstance(frame, bytes))
    assert [event["type"] for event in book.events_to_upstream].count("response.create") == 1


@pytest.mark.parametrize("name", ["openai-tool-call-round", "azure-tool-call-round"])
def test_a_tool_turn_is_requested_once_and_answered_after_its_output(name):
    book = replayed(name)
    kinds = [frame if frame == "audio" else frame["type"] for frame in client_frames(book)]
    assert kinds.count("FunctionCallRequest") == 1
    assert kinds.count("AgentThinking") == 1
    assert kinds[-1] == "AgentAudioDone"
    assert kinds.count("AgentAudioDone") == 1
    assert kinds.index("FunctionCallRequest") < kinds.index("AgentThinking") < len(kinds) - 1
    events = [event["type"] for event in book.events_to_upstream]
    assert events.count("response.create") == 2


def test_a_voice_turn_is_reported_in_order():
    name = "openai-voice-turn-server-vad"
    book = replayed(name, profile="openai")
    transcripts = [
        i.event["transcript"].strip() for i in recording(name) if i.event["type"].endswith("transcription.completed")
    ]
    frames = client_frames(book)
    kinds = [frame if frame == "audio" else frame["type"] for frame in frames]
    assert kinds[:2] == ["UserStartedSpeaking", "UtteranceEnd"]
    at = frames.index(user(transcripts[0]))
    assert kinds[at + 1] == "Transcript"
    assert kinds[-2:] == ["AgentAudioDone", "AgentDone"]
    assert assistant(recorded_texts(name)[0]) in frames
    assert "response.create" not in [event["type"] for event in book.events_to_upstream]


def test_seeded_history_is_acknowledged_and_not_sent():
    """The recorded client seeds the history with OpenAI's own events."""
    name = "openai-history-seeding"
    interactions = sorted(recording(name), key=lambda interaction: interaction.event["type"] != "session.update")
    book = Playbook().opened()
    for interaction in interactions:
        feed = book.upstream if interaction.direction == "received" else book.client
        feed(interaction.event)
    texts = [frame["content"] for frame in client_frames(book) if frame.get("role") == "assistant"]
    assert texts == recorded_texts(name)
