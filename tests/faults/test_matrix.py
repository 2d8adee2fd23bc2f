"""Every fault at every place of a conversation: see `fault_matrix` for the table, `fault_cells` for the rules."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.cells import reference, run, run_to_the_end
from tests.support.faults.matrix import COLUMNS, MODALITIES, ROWS, UserSpeech, cells, hopeless_cells, table
from tests.support.faults.talk import QUESTION, Conversation
from tests.support.faults.world import DEADLINES, world

PAGE = Path(__file__).resolve().parents[2] / "docs" / "never-stuck.md"
AT_ONCE = 10
MOSTLY_WAITING = 16


@pytest.mark.parametrize("profile", ["openai", "converse"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_without_a_fault_every_question_is_answered_once(profile, modality):
    for talk in UserSpeech:
        seen = reference(talk, profile, modality)
        assert all(len(turn.said) == 1 for turn in seen.turns) or profile == "converse"
        assert all(turn.said for turn in seen.turns)
        assert all(bool(turn.audio) == (modality == "audio") for turn in seen.turns)
        assert "Ada" in " ".join(seen.turns[1].said) or talk not in (UserSpeech.TEXT, UserSpeech.ROLLOVER)
        assert not seen.warnings
        assert seen.close_code == 1000


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_client_is_stuck(row):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [fault for faults in pool.map(run, cells(row)) for fault in faults]
    assert not wrong, "\n".join(["", *wrong])


@pytest.mark.parametrize("row", [row for row in ROWS if any(hopeless_cells(row))], ids=lambda row: row.name)
def test_a_budget_that_is_spent_ends_the_session_in_time(row):
    with ThreadPoolExecutor(MOSTLY_WAITING) as pool:
        wrong = [fault for faults in pool.map(run_to_the_end, hopeless_cells(row)) for fault in faults]
    assert not wrong, "\n".join(["", *wrong])


def test_the_page_shows_the_matrix():
    assert len(ROWS) * len(COLUMNS) == sum(line.count(" |") - 1 for line in table().splitlines()[2:])
    assert table() in PAGE.read_text()


def test_a_restart_is_given_its_back_off_and_its_dial_before_it_counts_as_late():
    faults = (
        Fault(point=FaultPoint.RESPONSE_CREATE, action=FaultAction.CLOSE, code=1000),
        Fault(point=FaultPoint.HANDSHAKE, action=FaultAction.REFUSE, status=503, skip=1),
    )
    deadlines = msgspec.structs.replace(DEADLINES, dial_s=1.0, restart_s=0.3)
    with (
        world(SimulatorConfig(pace=0, faults=faults), deadlines=deadlines) as here,
        WireClient(here.url("openai")) as client,
    ):
        conversation = Conversation(client, "text")
        conversation.apply_settings()
        conversation.ask(QUESTION)
        client.close()
        assert here.routes[0].dials == 3
