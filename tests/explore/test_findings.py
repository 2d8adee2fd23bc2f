"""Each fault of the past is found again where its mending is undone."""

import re
from pathlib import Path

import pytest

from tests.explore.findings import FINDINGS, actions_of, is_found
from tests.explore.shrink import breaks

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda it: it.number)
def test_a_fault_of_the_past_is_found_again_where_its_mending_is_undone(finding):
    assert not breaks(finding.root, actions_of(finding.walk))[0]
    assert is_found(finding)


CITED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
OUTSIDE = 7
"""The faults that the explorer cannot find again."""


def test_each_fault_outside_of_the_alphabet_has_the_test_that_its_row_names():
    cited = CITED.findall((ROOT / "docs/invariants.md").read_text())
    assert len(cited) >= OUTSIDE
    for path, name in cited:
        assert f"def {name}(" in (ROOT / path).read_text()
