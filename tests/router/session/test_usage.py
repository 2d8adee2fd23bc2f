"""The tokens that a session counts, compared with the books of its upstreams: to the token, whatever happens."""

import functools
import random
from collections import Counter

import pytest

from router.session.reports import Usage
from router.simulator import Fault, FaultAction, FaultPoint
from router.usage.prices import shipped
from router.usage.tokens import measure
from router.usage.totals import Totals
from tests.support.machine.simulation import Simulation
from tests.support.processes.further import further

SEEDS = 1000
SEEDS_A_TEST = 20
IN_EVERY_RUN = 60
"""The number of seeds that a plain `pytest` tries. A test checks that they contain each case."""

ACTIONS = {
    "say": lambda it: it.say("My name is Ada."),
    "ask": lambda it: it.say("What did you say?"),
    "ask for two": lambda it: it.say("What are the weather and the time?"),
    "ask the router": lambda it: it.say("Where is the parcel?"),
    "speak": lambda it: it.speak(0.8, 1.0),
    "interject": lambda it: it.client(
        {"type": "InjectAgentMessage", "message": "Mind the step.", "behavior": "interrupt"}
    ),
    "lose": lambda it: it.lose(),
}
FAULTS = [
    (FaultPoint.RESPONSE_CREATED, FaultAction.CLOSE),
    (FaultPoint.MID_TRANSCRIPT, FaultAction.CLOSE),
    (FaultPoint.MID_AUDIO, FaultAction.CLOSE),
    (FaultPoint.MID_AUDIO, FaultAction.FAIL),
    (FaultPoint.AUDIO_DONE, FaultAction.FAIL),
    (FaultPoint.BEFORE_RESPONSE_DONE, FaultAction.CLOSE),
    (FaultPoint.BETWEEN_TURNS, FaultAction.CLOSE),
    (FaultPoint.TRANSCRIPTION, FaultAction.FAIL),
]
TRANSCRIPTION_MODELS = ["gpt-4o-transcribe", "gpt-realtime-whisper"]
COMPLETED = "conversation.item.input_audio_transcription.completed"


@functools.lru_cache(IN_EVERY_RUN)
def held(seed):
    """Hold a conversation that the seed draws: its steps, its faults, and the moment at which the caller hangs up."""
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    faults = [Fault(point=point, action=action, skip=dice.randrange(3)) for point, action in dice.sample(FAULTS, 2)]
    it = Simulation(
        dice.choice(["openai", "converse"]),
        latency_s=dice.choice([0.0, 0.02, 0.3]),
        options={"is_observed": True, "transcription_model": dice.choice(TRANSCRIPTION_MODELS)},
        pace=dice.choice([1.0, 20.0]),
        transcription_delay_s=dice.choice([0.0, 0.4]),
        session_seconds=dice.choice([3600.0, 40.0]),
        faults=tuple(faults),
    )
    for _ in range(dice.randrange(1, 7)):
        it.run(dice.choice([0.0, 0.05, 0.3, 1.0, 5.0]))
        ACTIONS[dice.choice(sorted(ACTIONS))](it)
    it.run(dice.choice([0.1, 0.7, 2.5, 60.0]))
    it.hang_up()
    it.run(10.0)
    return it


def books(it):
    """Add up what the upstreams reported, straight from their events."""
    tokens = Counter()
    transcription_model = it.session.context.options.transcription_model
    for event in [*it.events, *it.late_events]:
        if event["type"] == "response.done" and event["response"]["usage"]:
            usage, model = event["response"]["usage"], it.session.state.model
            read, cached = usage["input_token_details"], usage["input_token_details"]["cached_tokens_details"]
            for modality in ("text", "audio", "image"):
                tokens[model, modality, "input", True] += cached[f"{modality}_tokens"]
                tokens[model, modality, "input", False] += read[f"{modality}_tokens"] - cached[f"{modality}_tokens"]
            for modality in ("text", "audio"):
                tokens[model, modality, "output", False] += usage["output_token_details"][f"{modality}_tokens"]
        elif event["type"] == COMPLETED and event["usage"]["type"] == "tokens":
            tokens[transcription_model, "audio", "input", False] += event["usage"]["input_tokens"]
            tokens[transcription_model, "text", "output", False] += event["usage"]["output_tokens"]
        elif event["type"] == COMPLETED:
            tokens[transcription_model, "seconds"] += event["usage"]["seconds"]
    return +tokens


def counted(it):
    """Add up the usage that the session reported."""
    totals = Totals()
    for usage in it.notifications:
        if isinstance(usage, Usage):
            totals.add(usage.model, measure(usage.details))
    found = Counter({(row.model, row.modality, row.direction, row.cached): row.tokens for row in totals.entries()})
    found.update({(model, "seconds"): seconds for model, seconds in totals.seconds().items()})
    assert all(shipped().find(model) for model, _ in totals.by_model())
    return +found


@pytest.mark.parametrize(
    "first", [each if each < IN_EVERY_RUN else further(each) for each in range(0, SEEDS, SEEDS_A_TEST)]
)
def test_a_session_counts_the_tokens_that_its_upstreams_book(first):
    for seed in range(first, first + SEEDS_A_TEST):
        it = held(seed)
        assert counted(it) == books(it), seed


def test_the_seeds_contain_restarts_rollovers_cancelled_and_late_responses():
    seen = Counter()
    for seed in range(IN_EVERY_RUN):
        it = held(seed)
        seen["restart"] += it.session.state.generation > 1
        seen["rollover"] += it.session.state.rollovers
        statuses = [event["response"]["status"] for event in it.events if event["type"] == "response.done"]
        seen.update(statuses)
        seen["late"] += any(event["type"] == "response.done" for event in it.late_events)
    for case in ("restart", "rollover", "cancelled", "failed", "completed", "late"):
        assert seen[case], case
