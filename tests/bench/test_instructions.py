"""Instructions: how they are read, and when their number fails a run."""

import pytest

from tests.bench import instructions

CONDITIONS = {"python": "CPython 3.11.2 (with PGO)", "built": "main", "machine": "x86_64", "libraries": {"orjson": "3"}}
REFERENCE = {"instructions": 200_000, "conditions": CONDITIONS}


def test_the_total_of_a_profile_is_read():
    assert instructions.total("events: Ir\n\nfn=(1)\n0 5\n\nsummary: 0\ntotals: 1234567\n") == 1_234_567


@pytest.mark.parametrize(("found", "is_too_high"), [(150_000, False), (209_999, False), (210_001, True)])
def test_more_than_five_percent_above_the_reference_fail(found, is_too_high):
    assert instructions.verdict(found, CONDITIONS, REFERENCE)[0] is is_too_high


def test_another_release_of_a_library_is_said_and_judged():
    is_too_high, sentence = instructions.verdict(300_000, CONDITIONS | {"libraries": {"orjson": "4"}}, REFERENCE)
    assert is_too_high
    assert sentence.endswith("that figure was counted with other conditions: libraries")


def test_another_interpreter_is_said_and_not_judged():
    is_too_high, sentence = instructions.verdict(300_000, CONDITIONS | {"python": "CPython 3.13.0"}, REFERENCE)
    assert not is_too_high
    assert sentence == (
        "300,000 instructions a message: +50.0% of the committed 200,000; "
        "that figure was counted with other conditions: python"
    )


def test_the_committed_reference_names_all_its_conditions():
    assert instructions.reference()["conditions"].keys() == instructions.conditions().keys()
