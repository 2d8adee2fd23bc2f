"""Real traffic, replayed as upstream: the right messages reach the client, in order."""

import pytest

from tests.support.data.recordings import recording
from tests.support.machine.playbook import AUDIO_DONE, Playbook, assistant, user
from tests.support.machine.replay import spoken, told, told_frames


@pytest.mark.parametrize("name", ["openai-text-in-audio-out", "azure-text-in-audio-out", "xai-text-in-audio-out"])
def test_a_text_turn_is_answered_in_text_and_audio(name):
    book = told(name)
    frames = told_frames(book)
    (answer,) = spoken(name)
    roles = [frame["role"] for frame in frames if frame != "audio" and "role" in frame]
    assert roles == ["user"] + ["assistant"] * (len(roles) - 1)
    sentences = [frame["content"] for frame in frames if frame != "audio" and frame.get("role") == "assistant"]
    assert " ".join(sentences) == answer
    if not name.startswith("xai"):  # which transcribes behind the audio
        assert frames.index("audio") > frames.index(assistant(sentences[0]))
    assert "audio" in frames
    assert frames[-1] == AUDIO_DONE
    assert all(len(frame) % 2 == 0 for frame in book.frames_to_client if isinstance(frame, bytes))
    assert [event["type"] for event in book.events_to_upstream].count("response.create") == 1


@pytest.mark.parametrize("name", ["openai-tool-call-round", "azure-tool-call-round"])
def test_a_tool_turn_is_requested_once_and_answered_after_its_output(name):
    book = told(name)
    kinds = [frame if frame == "audio" else frame["type"] for frame in told_frames(book)]
    assert kinds.count("FunctionCallRequest") == 1
    assert kinds.count("AgentThinking") == 1
    assert kinds[-1] == "AgentAudioDone"
    assert kinds.count("AgentAudioDone") == 1
    assert kinds.index("FunctionCallRequest") < kinds.index("AgentThinking") < len(kinds) - 1
    events = [event["type"] for event in book.events_to_upstream]
    assert events.count("response.create") == 2


def test_a_voice_turn_is_told_as_it_was_spoken():
    name = "openai-voice-turn-server-vad"
    book = told(name, profile="openai")
    heard = [
        i.event["transcript"].strip() for i in recording(name) if i.event["type"].endswith("transcription.completed")
    ]
    frames = told_frames(book)
    kinds = [frame if frame == "audio" else frame["type"] for frame in frames]
    assert kinds[:2] == ["UserStartedSpeaking", "UtteranceEnd"]
    at = frames.index(user(heard[0]))
    assert kinds[at + 1] == "Transcript"
    assert kinds[-2:] == ["AgentAudioDone", "AgentDone"]
    assert assistant(spoken(name)[0]) in frames
    assert "response.create" not in [event["type"] for event in book.events_to_upstream]


def test_seeded_history_is_acknowledged_and_not_told():
    """The history is seeded with OpenAI's own events, as the recorded client did."""
    name = "openai-history-seeding"
    interactions = sorted(recording(name), key=lambda interaction: interaction.event["type"] != "session.update")
    book = Playbook().opened()
    for interaction in interactions:
        feed = book.upstream if interaction.direction == "received" else book.client
        feed(interaction.event)
    said = [frame["content"] for frame in told_frames(book) if frame.get("role") == "assistant"]
    assert said == spoken(name)
