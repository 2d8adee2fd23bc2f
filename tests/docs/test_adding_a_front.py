"""The front of docs/adding-a-front.md works as it is written there."""

import re
from pathlib import Path

import pytest

from router.fronts import table
from router.fronts.table import FRONTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-a-front.md"


@pytest.fixture
def names():
    """The names that the page defines."""
    names = {"__name__": "adding_a_front"}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102 - the documentation's own
    return names


def test_the_front_of_the_page_holds_a_call(names, simulator, monkeypatch):
    monkeypatch.setitem(FRONTS, "lines", names["LINES"])
    assert "hello there" in names["hold_a_call"](simulator)


def test_the_route_of_the_page_has_its_path(names):
    assert names["lines_route"](None).path == "/lines"


def test_the_page_names_each_part_of_a_front():
    named = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert named == list(table.Front.__struct_fields__)
