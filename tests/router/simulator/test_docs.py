"""docs/simulator.md repeats the tables of faults, flags and control messages."""

from pathlib import Path

import pytest

from router.simulator import POINTS, FaultAction, FaultPoint
from router.simulator.__main__ import _parser
from router.simulator.control import CONTROLS
from router.simulator.faults import ACTIONS_AT, Moment

DOCS = Path(__file__).resolve().parents[3] / "docs" / "simulator.md"
MOMENTS = {"HTTP": Moment.HTTP, "request": Moment.REQUEST, "flow": Moment.FLOW, "response": Moment.RESPONSE}


@pytest.fixture(scope="module")
def text():
    return DOCS.read_text(encoding="utf-8")


def rows(text, heading):
    """Return the cells of the table that begins with `| heading |`."""
    table = text.split(f"\n| {heading} |", 1)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table]


def test_every_fault_point_has_its_row(text):
    documented = [
        (FaultPoint(name.strip("`")), meaning, MOMENTS[moment]) for name, meaning, moment in rows(text, "point")
    ]

    assert documented == [(point, facts.meaning, facts.moment) for point, facts in POINTS.items()]


def test_every_action_has_its_row(text):
    table = {line[1]: line for line in (line.split("|") for line in text.splitlines()) if len(line) == 8}
    for action in FaultAction:
        cells = table[f" `{action}` "]
        possible = {moment for moment, cell in zip(MOMENTS.values(), cells[2:6], strict=True) if cell.strip()}
        assert possible == {moment for moment, actions in ACTIONS_AT.items() if action in actions}, action


def test_every_flag_and_control_message_is_named(text):
    flags = [option for action in _parser()._actions for option in action.option_strings if option != "-h"]

    assert [name for name in [*flags, *CONTROLS] if name not in text and name != "--help"] == []
