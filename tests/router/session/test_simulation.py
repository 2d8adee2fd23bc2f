"""Whole conversations with a strict upstream, at any pace and in any order: nothing is lost, and everything ends."""

import itertools

import pytest
from hypothesis import given, settings, strategies

from router.simulator import Fault, FaultAction, FaultPoint
from tests.support.machine.simulation import Simulation, texts
from tests.support.processes.further import examples, further

HARMLESS = {
    *("transcript", "microphone", "playback", "commit", "ask_again", "manual_commit", "rollover", "unannounced"),
}
"""Timers that expire in a conversation without a fault."""

RACES = {
    "conversation_already_has_active_response",
    "response_cancel_not_active",
    "input_audio_buffer_commit_empty",
    "cannot_update_voice",
}
"""Errors of a strict upstream that only report a race, or a voice that is fixed."""

ACTIONS = {
    "say": lambda it: it.say("My name is Ada."),
    "ask": lambda it: it.say("What did you say?"),
    "ask for two": lambda it: it.say("What are the weather and the time?"),
    "ask the router": lambda it: it.say("Where is the parcel?"),
    "speak": lambda it: it.speak(0.8, 1.0),
    "speak and let go": lambda it: it.speak(0.8, 0.0),
    "cough": lambda it: it.speak(0.1, 0.2),
    "prompt": lambda it: it.client({"type": "UpdatePrompt", "prompt": "Be brief."}),
    "change the voice": lambda it: it.client(
        {"type": "UpdateSpeak", "speak": {"provider": {"type": "open_ai", "voice": next(it.voices)}}}
    ),
    "listen": lambda it: it.client({"type": "UpdateListen", "listen": {"provider": {"language_hints": ["fr"]}}}),
    "think": lambda it: it.client({"type": "UpdateThink", "think": {"prompt": "Be kind."}}),
    "inject": lambda it: it.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "queue"}),
    "interject": lambda it: it.client(
        {"type": "InjectAgentMessage", "message": "Mind the step.", "behavior": "interrupt"}
    ),
    "mention": lambda it: it.client({"type": "InjectAgentMessage", "message": "Mind the door."}),
    "keep alive": lambda it: it.client({"type": "KeepAlive"}),
    "end turn": lambda it: it.client({"type": "ForceEndTurn"}),
}

GAPS_S = [0.0, 0.01, 0.05, 0.3, 1.0, 5.0]
STEPS = strategies.lists(
    strategies.tuples(strategies.sampled_from(GAPS_S), strategies.sampled_from(sorted(ACTIONS))), max_size=12
)

LOSSES = strategies.lists(
    strategies.tuples(strategies.sampled_from(GAPS_S), strategies.sampled_from([*sorted(ACTIONS), "lose"])), max_size=12
)

AGENTS = [{}, {"greeting": "Welcome."}, {"turn_detection": "semantic_vad"}, {"turn_detection": "manual"}]
LIVES_S = [3600.0, 40.0]
WAYS = strategies.fixed_dictionaries(
    {
        "latency_s": strategies.sampled_from([0.0, 0.02, 0.3]),
        "transcription_delay_s": strategies.sampled_from([0.0, 0.4, 3.0]),
        "pace": strategies.sampled_from([1.0, 20.0]),
        "agent": strategies.sampled_from(AGENTS),
        "session_seconds": strategies.sampled_from(LIVES_S),
    }
)

PROFILES = strategies.sampled_from(["openai", "converse"])
LONG_S = 180.0
ACKS = {
    "prompt": "PromptUpdated",
    "change the voice": "SpeakUpdated",
    "listen": "ListenUpdated",
    "think": "ThinkUpdated",
}

TYPED = {
    "say": ["My name is Ada."],
    "ask": ["What did you say?"],
    "ask for two": ["What are the weather and the time?"],
    "ask the router": ["Where is the parcel?"],
}

POINTS = (
    FaultPoint.RESPONSE_CREATED,
    FaultPoint.MID_TRANSCRIPT,
    FaultPoint.MID_AUDIO,
    FaultPoint.AUDIO_DONE,
    FaultPoint.BEFORE_RESPONSE_DONE,
)

CUTS = [
    {"point": point, "action": action, "skip": skip}
    for point, action, skip in itertools.product(POINTS, (FaultAction.CLOSE, FaultAction.FAIL), (0, 3))
    if not skip or point in (FaultPoint.MID_TRANSCRIPT, FaultPoint.MID_AUDIO)
]


def hold(profile, steps, way):
    it = Simulation(profile, **way)
    for gap_s, action in steps:
        it.run(gap_s)
        it.lose() if action == "lose" else ACTIONS[action](it)
    it.run(LONG_S)
    return it


def assert_at_rest(it):
    """Assert that no work is in progress, and that nothing waits."""
    state = it.session.state
    assert state.lifecycle.name == "READY"
    assert state.turn.response.name == "NONE"
    assert not state.pending
    assert not state.turn.is_open
    assert not state.calls.outstanding
    assert not state.transcripts.held
    assert not state.playback.is_waiting


def assert_nothing_is_lost(it, steps):
    typed = [text for _, action in steps for text in TYPED.get(action, ())]
    assert [text for text in texts(it, "user") if not text.startswith("(")] == typed
    kinds = [message["type"] for message in it.received]
    if typed:
        last = max(at for at, message in enumerate(it.received) if message.get("content") in typed)
        assert "AgentAudioDone" in kinds[last:], "no turn ends after the last question"
    for action, ack in ACKS.items():
        assert kinds.count(ack) == sum(other == action for _, other in steps), f"{ack} does not match the requests"


def assert_clean(it, steps):
    """Assert that only races caused errors, and that no deadline expired."""
    assert_at_rest(it)
    assert_nothing_is_lost(it, steps)
    late = set(it.fired) - HARMLESS
    assert not late, f"{late} expired"
    errors = [message for message in it.received if message["type"] == "Error"]
    assert not errors, errors
    refused = [event["error"] for event in it.events if event["type"] == "error"]
    assert {error["code"] for error in refused} <= RACES, refused
    transcribed = [event for event in it.events if event["type"].endswith("transcription.completed")]
    assert len([text for text in texts(it, "user") if text.startswith("(")]) == len(transcribed)


def assert_lossless(it, steps):
    """Assert that nothing is lost, however often the upstream was lost."""
    assert_at_rest(it)
    assert_nothing_is_lost(it, steps)
    errors = [message for message in it.received if message["type"] == "Error"]
    assert not errors, errors


def answer_text(profile, *cuts):
    it = Simulation(profile, pace=20.0, faults=tuple(Fault(**cut) for cut in cuts))
    it.say("My name is Ada.")
    it.run(LONG_S)
    assert [message["type"] for message in it.received].count("AgentAudioDone") == 1
    return "".join("".join(texts(it, "assistant")).split())


@settings(max_examples=examples(100), deadline=None)
@given(PROFILES, STEPS, WAYS)
def test_a_conversation_comes_to_rest_and_loses_nothing(profile, steps, way):
    assert_clean(hold(profile, steps, way), steps)


@settings(max_examples=examples(100), deadline=None)
@given(PROFILES, LOSSES, WAYS)
def test_a_conversation_comes_to_rest_however_often_its_upstream_is_lost(profile, steps, way):
    assert_lossless(hold(profile, steps, way), steps)


@pytest.mark.parametrize(
    ("profile", "half"), [("openai", 0), further("openai", 1), further("converse", 0), further("converse", 1)]
)
def test_an_answer_that_is_cut_off_together_with_its_rest_is_sent_once_and_whole(profile, half):
    whole = answer_text(profile)
    for cuts in itertools.product(CUTS, repeat=2):
        if sum(map(CUTS.index, cuts)) % 2 != half:
            continue
        assert answer_text(profile, *cuts) == whole, cuts
