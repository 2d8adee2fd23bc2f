"""Every fault at every place of a conversation: `matrix` has the table, `cells` the rules.

In virtual time a plain `pytest` holds a quarter of the cells of each kind of row, and half of the cells whose fault
happens on every dial. Over sockets it holds those that `covering` chooses.
`pytest -m exhaustive` holds the others, and `.ci/run` holds all.
"""

import contextlib
import functools
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pytest

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.faults.cells import Medium, reference, run, run_to_the_end
from tests.support.faults.covering import covering
from tests.support.faults.in_virtual_time import VIRTUAL_TIME
from tests.support.faults.matrix import (
    COLUMNS,
    KILLED,
    MODALITIES,
    ROWS,
    STALLED,
    Cell,
    Scenario,
    busy_cells,
    cells,
    hopeless_cells,
    stalled_cells,
    table,
)
from tests.support.faults.over_sockets import SOCKETS
from tests.support.faults.talk import QUESTION, Conversation
from tests.support.faults.virtual_world import virtual_world
from tests.support.faults.world import DEADLINES, world
from tests.support.processes.further import further

PAGE = Path(__file__).resolve().parents[2] / "docs" / "never-stuck.md"
AT_ONCE = 10
MOSTLY_WAITING = 32
MOST_SUSPECTS = 2
LOOPS = 2 * (os.cpu_count() or 2)

ALIKE = frozenset(
    {
        *("close 1001", "close 1005 (no code)", "close 1011", "close 1012", "close 1013"),
        *("re-dial: DNS failure", "re-dial: TLS failure", "re-dial: HTTP 503", "re-dial: HTTP 429"),
        "response failed: `rate_limit_exceeded`",
    }
)
"""Rows whose verdict is that of another row: of `close 1000`, of a refused connection, of `server_error`."""

HOPELESS_ROWS = [row for row in ROWS if any(hopeless_cells(row))]

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
each_kind_of_row = pytest.mark.parametrize(
    "row", [further(row) if row.name in ALIKE else row for row in ROWS], ids=lambda row: row.name
)
each_hopeless_row = pytest.mark.parametrize("row", HOPELESS_ROWS, ids=lambda row: row.name)
each_kind_of_hopeless_row = pytest.mark.parametrize(
    "row", [further(row) if row.name in ALIKE else row for row in HOPELESS_ROWS], ids=lambda row: row.name
)


def is_in_quarter(cell):
    """Whether the cell is in the quarter that holds each fault at each place.

    The modality is another one at the next place, and the profile at each second place. Both are others at the next
    fault. At a place that has one modality the half is held.
    """
    return has_its_modality(cell) and cell.profile == ("openai", "converse")[place_of(cell) // 2 % 2]


def has_its_modality(cell):
    """Whether the cell has the modality of its fault at its place, or the place has one modality alone."""
    return cell.column.only_audio or cell.modality == MODALITIES[place_of(cell) % 2]


def place_of(cell):
    """Return the number of the cell's diagonal: that of its row and its column together."""
    return (*ROWS, KILLED).index(cell.row) + (*COLUMNS, *STALLED).index(cell.column)


@functools.cache
def chosen():
    """Return the cells that a plain `pytest` holds over sockets. It takes half a second, so no import does it."""
    return covering(cell for row in ROWS for cell in cells(row))


@functools.cache
def chosen_hopeless():
    """Return those of the cells whose fault happens on every dial."""
    return covering(cell for row in ROWS for cell in hopeless_cells(row))


def over_sockets(function):
    """Mark a test that measures time over sockets."""
    return pytest.mark.slow(pytest.mark.alone(function))


def hold_at_once(hold: Callable[[Cell, Medium], list[str]], cells: Iterable[Cell], threads: int) -> None:
    """Hold cells over sockets, so many at the same time; none may be wrong.

    A cell that is wrong beside others is held again alone: all of them share one interpreter, and a pause of 0.4 s
    reaches a deadline of `DEADLINES`. A fault of the router fails both times, and in virtual time as well.
    """
    cells = list(cells)
    with ThreadPoolExecutor(threads) as pool:
        first = list(pool.map(partial(hold, medium=SOCKETS), cells))
    suspects = [cell for cell, faults in zip(cells, first, strict=True) if faults]
    assert len(suspects) <= MOST_SUSPECTS, "\n".join(["", *itertools.chain.from_iterable(first)])
    for fault in itertools.chain.from_iterable(first):
        print(f"NOTE: held again, alone: {fault}", file=sys.__stderr__)
    wrong = [fault for cell in suspects for fault in hold(cell, SOCKETS)]
    assert not wrong, "\n".join(["", *wrong])


def hold_in_virtual_time(hold: Callable[[Cell, Medium], list[str]], cells: Iterable[Cell]) -> None:
    """Hold cells one after another; none may be wrong."""
    wrong = [fault for cell in cells for fault in hold(cell, VIRTUAL_TIME)]
    assert not wrong, "\n".join(["", *wrong])


@pytest.mark.parametrize(
    "medium", [VIRTUAL_TIME, pytest.param(SOCKETS, marks=pytest.mark.slow)], ids=lambda medium: medium.name
)
@pytest.mark.parametrize("profile", ["openai", "converse"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_without_a_fault_every_question_is_answered_once(profile, modality, medium):
    for scenario in Scenario:
        seen = reference(scenario, profile, modality, medium)
        assert all(len(turn.said) == 1 for turn in seen.turns) or profile == "converse"
        assert all(turn.said for turn in seen.turns)
        assert all(bool(turn.audio) == (modality == "audio") for turn in seen.turns)
        assert "Ada" in " ".join(seen.turns[1].said) or scenario not in (Scenario.TEXT, Scenario.ROLLOVER)
        assert not seen.warnings
        assert seen.close_code == 1000


@each_kind_of_row
def test_no_client_is_stuck(row):
    hold_in_virtual_time(run, filter(is_in_quarter, cells(row)))


@pytest.mark.exhaustive
@each_row
def test_no_client_is_stuck_in_the_other_cells(row):
    hold_in_virtual_time(run, itertools.filterfalse(is_in_quarter, cells(row)))


@pytest.mark.parametrize("is_held", [is_in_quarter, further(lambda cell: not is_in_quarter(cell))], ids=["", "others"])
def test_no_client_is_stuck_although_the_router_s_own_worker_is_killed(is_held):
    hold_in_virtual_time(run, filter(is_held, cells(KILLED)))


def test_no_client_is_stuck_although_the_router_s_own_worker_is_killed_beside_a_stall():
    hold_in_virtual_time(run, stalled_cells(KILLED))


@over_sockets
def test_no_client_is_stuck_over_sockets():
    hold_at_once(run, chosen(), AT_ONCE)


@pytest.mark.exhaustive
@over_sockets
@each_row
def test_no_client_is_stuck_over_sockets_in_any_other_cell(row):
    hold_at_once(run, (cell for cell in cells(row) if cell not in chosen()), AT_ONCE)


@each_kind_of_row
def test_no_client_is_stuck_beside_a_stall(row):
    hold_in_virtual_time(run, filter(has_its_modality, stalled_cells(row)))


@pytest.mark.exhaustive
@each_row
def test_no_client_is_stuck_beside_a_stall_in_the_other_modality(row):
    hold_in_virtual_time(run, itertools.filterfalse(has_its_modality, stalled_cells(row)))


@over_sockets
def test_no_client_is_stuck_on_a_busy_machine():
    with busy_machine():
        hold_at_once(run, (cell for row in ROWS for cell in busy_cells(row)), AT_ONCE)


@contextlib.contextmanager
def busy_machine():
    """Keep every core busy, twice over, with other processes."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@each_kind_of_hopeless_row
def test_a_budget_that_is_spent_ends_the_session_in_time(row):
    hold_in_virtual_time(run_to_the_end, filter(has_its_modality, hopeless_cells(row)))


@pytest.mark.exhaustive
@each_hopeless_row
def test_a_budget_that_is_spent_ends_the_session_in_time_in_the_other_modality(row):
    hold_in_virtual_time(run_to_the_end, itertools.filterfalse(has_its_modality, hopeless_cells(row)))


@pytest.mark.slow
@pytest.mark.quiet  # its cells wait for deadlines and back-off
def test_a_budget_that_is_spent_ends_the_session_in_time_over_sockets():
    hold_at_once(run_to_the_end, chosen_hopeless(), MOSTLY_WAITING)


@pytest.mark.exhaustive
@over_sockets
@each_hopeless_row
def test_a_budget_that_is_spent_ends_the_session_in_time_over_sockets_in_any_other_cell(row):
    hold_at_once(
        run_to_the_end, (cell for cell in hopeless_cells(row) if cell not in chosen_hopeless()), MOSTLY_WAITING
    )


def test_the_page_shows_the_matrix():
    assert (len(ROWS) + 1) * (len(COLUMNS) + len(STALLED) + 1) == sum(
        line.count(" |") - 1 for line in table().splitlines()[2:]
    )
    assert table() in PAGE.read_text()


def test_the_page_says_how_many_cells_run_where():
    once, always = (sum(1 for row in ROWS for _ in part(row)) for part in (cells, hopeless_cells))
    sockets = len(chosen()) + len(chosen_hopeless())
    said = PAGE.read_text().partition("### Where each cell runs")[2].split("\n\n")
    assert f"In {once} cells the fault happens once. In {always} cells the fault" in said[1]
    kinds = [row for row in ROWS if row.name not in ALIKE]
    plain = sum(is_in_quarter(cell) for row in kinds for cell in cells(row)) + sum(
        has_its_modality(cell) for row in kinds for cell in hopeless_cells(row)
    )
    assert [re.findall(r"\d+", line) for line in said[2].splitlines()[2:]] == [
        [str(plain)],
        [str(once + always - plain)],
        [str(sockets)],
        [str(once + always - sockets)],
    ]


PARTS = (lambda cell: cell.modality, lambda cell: cell.profile, lambda cell: (cell.modality, cell.profile))


@each_row
def test_a_quarter_of_the_cells_holds_each_fault_at_each_place_in_each_modality_and_over_each_profile(row):
    quarter = [cell for cell in cells(row) if is_in_quarter(cell)]
    for part in (lambda cell: cell.column, *PARTS):
        assert {part(cell) for cell in quarter} == {part(cell) for cell in cells(row)}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_quarter_of_the_cells_holds_each_place_in_each_modality_and_over_each_profile(column):
    there = [cell for row in ROWS for cell in cells(row, [column])]
    for part in PARTS:
        assert {part(cell) for cell in there if is_in_quarter(cell)} == {part(cell) for cell in there}


def test_the_page_says_how_many_cells_are_beside_stalls():
    stalls = sum(1 for row in ROWS for part in (stalled_cells, busy_cells) for _ in part(row))
    assert f"The ten columns have {stalls} cells" in " ".join(PAGE.read_text().split())


@pytest.mark.parametrize("make_world", [virtual_world, pytest.param(world, marks=pytest.mark.slow)])
def test_a_restart_is_given_its_back_off_and_its_dial_before_it_counts_as_late(make_world):
    faults = (
        Fault(point=FaultPoint.RESPONSE_CREATE, action=FaultAction.CLOSE, code=1000),
        Fault(point=FaultPoint.HANDSHAKE, action=FaultAction.REFUSE, status=503, skip=1),
    )
    deadlines = msgspec.structs.replace(DEADLINES, dial_s=1.0, restart_s=0.3)
    with (
        make_world(SimulatorConfig(pace=0, faults=faults), deadlines=deadlines) as here,
        here.call("openai") as client,
    ):
        conversation = Conversation(client, "text")
        conversation.apply_settings()
        conversation.ask(QUESTION)
        client.close()
        assert here.routes[0].dials == 3
