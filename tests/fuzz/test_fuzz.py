"""The fuzzer itself: it finds nothing in the product within a short run, and planted faults at once."""

import time

import pytest

from tests.fuzz import run
from tests.fuzz.__main__ import TARGETS
from tests.fuzz.targets import ClientCodec, Connection, wire
from tests.support.processes.further import examples

SEED = 2026
INPUTS = examples(3_000)


@pytest.mark.parametrize("make", TARGETS, ids=lambda make: make.name)
def test_some_inputs_find_nothing(make):
    figures = run.fuzz(make(), SEED, seconds=30.0, inputs=INPUTS)
    assert figures.inputs >= INPUTS // 3
    assert not figures.failures, "\n".join(str(run.shrunk(it)) for it in figures.failures.values())


@pytest.mark.parametrize("make", TARGETS, ids=lambda make: make.name)
def test_an_input_depends_on_its_seed_and_number_alone(make):
    assert run.drawn(make(), SEED, 7) == run.drawn(make(), SEED, 7)
    assert run.drawn(make(), SEED, 7) != run.drawn(make(), SEED, 8)


class Fails(ClientCodec):
    """A target that refuses one word."""

    name = "fails"

    def check(self, text):
        assert "Settings" not in text, "a planted fault"


def test_a_failure_is_printed_with_the_command_that_repeats_it():
    figures = run.fuzz(Fails(), SEED, seconds=30.0, inputs=1_000)
    (failure,) = figures.failures.values()
    assert f"--target 'fails' --seed {SEED} --at {failure.number}" in str(failure)
    assert "a planted fault" in str(failure)
    assert run.drawn(Fails(), SEED, failure.number) == failure.given


class LongParses(Connection):
    """A connection that takes long for each read, as on a machine that pauses."""

    def draw(self, random):
        return "openai", [wire(random, is_server=True) for _ in range(20)]


def test_a_connection_on_a_machine_that_pauses_comes_to_rest(monkeypatch):
    monkeypatch.setattr("actors.connections.protocol.READ_S", -1.0)
    monkeypatch.setattr("actors.connections.protocol.SLOW_READS_S", 0.0)
    figures = run.fuzz(LongParses(), SEED, seconds=30.0, inputs=20)
    assert figures.inputs == 20
    assert not figures.failures, "\n".join(str(it) for it in figures.failures.values())


class FailsAtSteps(ClientCodec):
    """A target whose input is a list of steps, two of which fail together."""

    name = "steps"

    def draw(self, _random):
        return ["begin", *range(50)]

    def check(self, steps):
        assert not {17, 40} <= set(steps)


def test_a_list_of_steps_is_shrunk_to_those_that_fail_together():
    figures = run.fuzz(FailsAtSteps(), SEED, seconds=30.0, inputs=1)
    (failure,) = figures.failures.values()
    assert run.shrunk(failure).given == ["begin", 17, 40]


class Slow(ClientCodec):
    """A target of which an input takes long."""

    name = "slow"

    def check(self, _text):
        began_s = time.thread_time()
        while time.thread_time() - began_s < 1.2 * run.MAX_SLICE_S:
            pass


def test_an_input_that_takes_long_again_and_again_is_a_failure(monkeypatch):
    monkeypatch.setattr(run, "MAX_SLICE_S", 0.01)
    figures = run.fuzz(Slow(), SEED, seconds=30.0, inputs=1)
    (failure,) = figures.failures.values()
    assert "a slice of" in str(failure)
