"""The router's own worker dies at each step of a conversation, and another worker adopts the session.

In virtual time. At one step the record of the step is stored, and none of its bytes is written. At the other the worker
dies before it stores the record.
"""

import pytest

from router.simulator import SimulatorConfig
from tests.support.faults.cells import SCENARIOS, reference
from tests.support.faults.in_virtual_time import CONDITIONS, VIRTUAL_TIME
from tests.support.faults.matrix import MODALITIES, Scenario
from tests.support.faults.talk import Conversation, faults_of_answers, faults_of_order
from tests.support.faults.virtual_world import virtual_world
from tests.support.faults.world import DEADLINES
from tests.support.processes.further import further

EVERY = 83
"""One step of so many, in a plain `pytest`."""

TALKS = [
    (scenario, profile, modality)
    for scenario in Scenario
    if scenario is not Scenario.ROLLOVER
    for modality in MODALITIES
    for profile in ("openai", "converse")
]


def name_of(talk):
    """Return the name of a conversation."""
    scenario, profile, modality = talk
    return f"{scenario.name.lower()}-{profile}-{modality}"


def hold(scenario, profile, modality, step=None, *, is_stored=True):
    """Hold a conversation whose worker dies at a step. Return its world's keeper, and its faults in words."""
    conditions = CONDITIONS[profile, modality]
    with (
        virtual_world(SimulatorConfig(pace=0), deadlines=DEADLINES, conditions=conditions) as here,
        here.call(profile) as client,
    ):
        here.keeper.dies_at, here.keeper.stores_last = step, is_stored
        got = Conversation(client, modality).run(lambda talk: SCENARIOS[scenario](talk, world=here, cell=None))
    wanted = reference(scenario, profile, modality, VIRTUAL_TIME)
    # Speech that is not committed is detected again, with its end.
    wrong = [it for it in faults_of_order(got, wanted) if not it.startswith("UtteranceEnd")]
    if here.keeper.awaited_transcript:
        # The next upstream gets the speech as an item, which it does not transcribe.
        wrong += [] if len(got.turns) == len(wanted.turns) else [f"{len(got.turns)} turns, stuck: {got.stuck}"]
    else:
        wrong += faults_of_answers(got, wanted)
    wrong += [f"errors {got.errors}"] if got.errors else []
    others = [code for code in got.warnings if code != "SESSION_RECOVERED"]
    wrong += [f"warnings {got.warnings}"] if others or len(got.warnings) > 1 else []
    return here.keeper, [f"{scenario.value}, {profile}, {modality}, step {step}, {is_stored}: {it}" for it in wrong]


def hold_all(talk, first, every):
    """Hold a conversation once for each step at which the worker dies, and once more before that step is stored."""
    keeper, wrong = hold(*talk)
    steps = keeper.steps
    # The first step opens the client's connection, and the last ones close it.
    for step in range(first, steps - 1, every):
        for is_stored in (True, False):
            wrong += hold(*talk, step, is_stored=is_stored)[1]
    assert not wrong, "\n".join(["", *wrong])
    return keeper


@pytest.mark.parametrize("talk", TALKS, ids=name_of)
def test_a_worker_that_dies_costs_no_answer_and_repeats_none(talk):
    keeper = hold_all(talk, 1 + TALKS.index(talk), EVERY)
    assert keeper.stored < keeper.steps


@pytest.mark.parametrize("talk", [further(talk) for talk in TALKS], ids=name_of)
def test_a_worker_that_dies_at_any_step_costs_no_answer_and_repeats_none(talk):
    hold_all(talk, 1, 1)
