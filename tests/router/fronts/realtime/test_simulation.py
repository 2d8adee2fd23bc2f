"""Whole conversations with a strict upstream: everything begins once and ends once, whatever is lost."""

import itertools

import pytest
from hypothesis import given, settings, strategies

from router.simulator import Fault, FaultAction, FaultPoint
from tests.support.machine.realtime_world import RealtimeWorld
from tests.support.processes.further import examples, further

RACES = {
    "conversation_already_has_active_response",
    "response_cancel_not_active",
    "input_audio_buffer_commit_empty",
    "item_truncate_invalid_item_id",
    "item_already_truncated",
    "item_delete_invalid_item_id",
    "item_retrieve_invalid_item_id",
    "invalid_value",
}
"""Errors of a strict upstream that only report a race, or an event that the client should not have sent."""

LONG_S = 120.0


def last_answer(it):
    answers = [event["item_id"] for event in it.client.of("response.output_audio.delta")]
    return answers[-1] if answers else "unknown"


ACTIONS = {
    "say": lambda it: it.say("My name is Ada."),
    "mention": lambda it: it.say("I like tea.", is_answered=False),
    "call": lambda it: it.say("What is the weather?"),
    "speak": lambda it: it.speak(0.8, 1.0),
    "cough": lambda it: it.speak(0.1, 0.2),
    "update": lambda it: it.send("session.update", session={"type": "realtime", "instructions": "Be kind."}),
    "cancel": lambda it: it.send("response.cancel"),
    "ask": lambda it: it.send("response.create"),
    "aside": lambda it: it.send("response.create", response={"conversation": "none", "metadata": {"n": "1"}}),
    "commit": lambda it: it.send("input_audio_buffer.commit"),
    "clear": lambda it: it.send("input_audio_buffer.clear"),
    "retrieve": lambda it: it.send("conversation.item.retrieve", item_id=last_answer(it)),
    "truncate": lambda it: it.send(
        "conversation.item.truncate", item_id=last_answer(it), content_index=0, audio_end_ms=100
    ),
    "delete": lambda it: it.send("conversation.item.delete", item_id=last_answer(it)),
    "lose": lambda it: it.lose(),
    "move": lambda it: it.move(),
    "die": lambda it: it.die(),
}
GAPS_S = [0.0, 0.01, 0.05, 0.3, 1.0, 5.0]
STEPS = strategies.lists(
    strategies.tuples(strategies.sampled_from(GAPS_S), strategies.sampled_from(sorted(ACTIONS))), max_size=14
)
WAYS = strategies.fixed_dictionaries(
    {
        "latency_s": strategies.sampled_from([0.0, 0.02, 0.3]),
        "pace": strategies.sampled_from([1.0, 20.0]),
        "transcription_delay_s": strategies.sampled_from([0.0, 0.4]),
        "shared_numbers": strategies.booleans(),
        "session_seconds": strategies.sampled_from([3600.0, 40.0]),
    }
)


SPOKEN = "My name is Ada and I like tea, and I live in a small house by the sea."


def converse(it, steps):
    """Hold a conversation in a world, and let it come to rest."""
    it.configure()
    for gap_s, action in steps:
        it.run(gap_s)
        ACTIONS[action](it)
    it.run(LONG_S)
    return it


@settings(max_examples=examples(25), deadline=None)
@given(STEPS, WAYS)
def test_a_conversation_comes_to_rest_however_often_its_upstream_is_lost(steps, way):
    it = converse(RealtimeWorld(**way), steps)
    assert not it.closed
    it.client.judge_rest()
    assert set(it.client.errors) <= RACES, it.client.of("error")
    assert not it.relay.context.state.responses
    assert not it.relay.context.state.unanswered.has_request
    it.say("My name is Grace.")
    before = len(it.client.responses)
    it.run(LONG_S)
    assert list(it.client.responses.values())[before:] == ["completed"]


FAULTS = [
    {"point": point, "action": action, "skip": skip}
    for point, action, skip in itertools.product(
        [point for point in FaultPoint if point is not FaultPoint.HANDSHAKE],
        (FaultAction.CLOSE, FaultAction.HANG, FaultAction.MALFORMED),
        (0, 3),
    )
    if not skip or point in (FaultPoint.MID_TRANSCRIPT, FaultPoint.MID_AUDIO)
]


@pytest.mark.parametrize("shares_numbers", [further(False), True])
def test_an_upstream_that_is_lost_at_any_point_is_replaced(shares_numbers):
    for fields in FAULTS:
        it = RealtimeWorld(pace=20.0, faults=(Fault(**fields, first_connections=1),), shared_numbers=shares_numbers)
        it.configure()
        it.say("My name is Ada and I like tea.")
        it.run(10.0)
        it.speak(0.8, 1.0)
        it.run(30.0)
        it.say("What is the weather?")
        it.run(LONG_S)
        it.client.judge_rest()
        assert it.client.errors == [], fields
        assert not it.closed, fields
        assert list(it.client.responses.values())[-1] == "completed", fields
        assert len(it.client.calls) <= 1, fields
        # Speech that a silent upstream did not end interrupts the answer to the text behind it.
        assert it.client.calls or fields["action"] is FaultAction.HANG, fields


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_a_cut_answer_is_continued_to_its_end(modality):
    def answer(*faults):
        it = RealtimeWorld(pace=20.0, faults=faults)
        it.configure(output_modalities=[modality])
        it.say(SPOKEN)
        it.run(LONG_S)
        it.client.judge_rest()
        return it

    whole = "".join(answer().client.text.split())
    point = FaultPoint.MID_TEXT if modality == "text" else FaultPoint.MID_AUDIO
    for skip in range(0, 12, 3):
        it = answer(Fault(point=point, action=FaultAction.CLOSE, skip=skip))
        assert list(it.client.responses.values()) == ["incomplete", "completed"]
        said = "".join(it.client.text.split())
        if modality == "text":
            assert said == whole
        assert said.endswith(whole[-10:])


def judge_deaths_within_an_answer(make, modality, text=SPOKEN, deaths=39):
    """Let the process die at one moment after another of an answer: the client gets the whole answer nevertheless."""

    def answer(died_s=None):
        it = make()
        it.configure(output_modalities=[modality])
        it.say(text)
        if died_s is not None:
            it.run(died_s)
            it.die()
        it.run(LONG_S)
        it.client.judge_rest()
        return it

    whole = answer().client.text.split()
    cut = 0
    for step in range(1, deaths + 1):
        it = answer(step * 0.02)
        statuses = list(it.client.responses.values())
        assert statuses in (["completed"], ["incomplete", "completed"])
        cut += len(statuses) - 1
        assert it.client.text.split()[-1:] == whole[-1:]
        if modality == "text":
            assert "".join(it.client.text.split()) == "".join(whole)
    assert cut


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_an_answer_whose_process_dies_continues_behind_the_words_that_the_client_has(modality):
    judge_deaths_within_an_answer(lambda: RealtimeWorld(pace=20.0), modality)
