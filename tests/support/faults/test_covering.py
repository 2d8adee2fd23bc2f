"""The cells that are chosen hold every pair, and are a small part of all."""

import functools
import itertools

from tests.support.faults.covering import ASPECTS, PAIRS, covering, pairs_of
from tests.support.faults.matrix import COLUMNS, MODALITIES, ROWS, Scenario, cells, hopeless_cells

ALL = [cell for row in ROWS for cell in cells(row)]
HOPELESS = [cell for row in ROWS for cell in hopeless_cells(row)]


@functools.cache
def chosen(*, is_hopeless=False):
    """Choose the cells once for all tests."""
    return covering(HOPELESS if is_hopeless else ALL)


def pairs_of_all(cells):
    return frozenset().union(*map(pairs_of, cells))


def test_every_pair_is_held():
    assert pairs_of_all(chosen()) == pairs_of_all(ALL)
    assert pairs_of_all(chosen(is_hopeless=True)) == pairs_of_all(HOPELESS)


def test_each_kind_of_fault_is_held_at_each_place_where_it_can_happen():
    held = {(ASPECTS["kind"](cell), cell.column.name) for cell in chosen()}
    assert held == {(ASPECTS["kind"](cell), cell.column.name) for cell in ALL}


def test_each_row_column_scenario_profile_and_modality_is_held():
    assert {cell.row.name for cell in chosen()} == {row.name for row in ROWS}
    assert {cell.column.name for cell in chosen()} == {column.name for column in COLUMNS}
    assert {cell.column.scenario for cell in chosen()} == set(Scenario)
    places = itertools.product(("openai", "converse"), MODALITIES)
    assert {(cell.profile, cell.modality) for cell in chosen()} == set(places)


def test_a_small_part_of_the_cells_is_enough():
    assert len(chosen()) < len(ALL) / 5
    assert len(chosen(is_hopeless=True)) < len(HOPELESS) / 2


def test_the_same_cells_are_chosen_each_time():
    assert list(map(str, covering(ALL))) == list(map(str, chosen()))


def test_every_aspect_counts():
    assert {aspect for pair in PAIRS for aspect in pair} == set(ASPECTS)
