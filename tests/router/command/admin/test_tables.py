"""Rows as columns of text."""

import pytest

from router.command.admin.tables import age, cell, outline, table


def test_columns_are_as_wide_as_their_content():
    assert table(("A", "B"), [("long one", "x"), ("s", "y")]) == "A         B\nlong one  x\ns         y"


def test_nested_facts_are_indented():
    facts = {"id": "s1", "actors": {"client": {"is_paused": False}}, "usage": [{"tokens": 3}], "work": []}
    assert outline(facts).splitlines() == [
        "id: s1",
        "actors:",
        "  client:",
        "    is_paused: no",
        "usage:",
        "  0:",
        "    tokens: 3",
        "work: -",
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), ("", "-"), (True, "yes"), (1.25, "1.25"), (3, "3"), ([1, "a"], "1, a")]
)
def test_a_value_is_shown_shortly(value, shown):
    assert cell(value) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(None, "-"), (4.7, "4s"), (425, "7m05s"), (11100, "3h05m")])
def test_an_age_is_shown_as_a_person_reads_it(seconds, shown):
    assert age(seconds) == shown
