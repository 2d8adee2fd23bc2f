"""The faults of the matrix on the telephone, in virtual time: the caller hears each answer, and hears it once."""

import base64
import json
from functools import cache

import pytest

from router.simulator import SimulatorConfig
from tests.support.clients.telephone import STREAM, start_event
from tests.support.clients.wire_client import StreamClient
from tests.support.faults.in_virtual_time import DETOURS
from tests.support.faults.matrix import COLUMNS, DIALLING, ROWS, Cell, Outcome, Route, Scenario
from tests.support.faults.virtual_world import virtual_world
from tests.support.faults.world import DEADLINES
from tests.support.processes.further import further

ANSWER_S = 8.0
"""For an answer, and a few deadlines in a row."""
BYTES_PER_S = 8000
REPEATED_S = 1.0
"""A word or two, which may be said again."""

PLACES = [column for column in COLUMNS if column.scenario is Scenario.TEXT]
FIRST = ("close 1006 (reset)", "half-open: silence")
"""The rows that a plain run holds."""


class Telephone(StreamClient):
    """Twilio, which plays at once."""

    def send(self, event, **fields):
        self.send_text(json.dumps({"event": event, "streamSid": STREAM, **fields}))

    def _judged(self, data):
        message = json.loads(data)
        if message["event"] == "mark":
            self.send("mark", mark=message["mark"])
        return {**message, "type": message["event"]}

    def ask(self, key):
        """Press a key, and return the duration of the answer, without the silence at its end."""
        before = len(self.frames)
        for digit in (key, "#"):
            self.send("dtmf", dtmf={"track": "inbound_track", "digit": digit})
        self.hear(ANSWER_S)
        media = [frame["media"]["payload"] for frame in self.frames[before:] if frame["type"] == "media"]
        return len(b"".join(map(base64.b64decode, media)).rstrip(b"\xff")) / BYTES_PER_S


def hold(cell=None):
    """Hold a call of two questions. Return the durations of the answers, the close code, and the dials."""
    with virtual_world(SimulatorConfig(pace=0, faults=cell.faults if cell else ()), deadlines=DEADLINES) as here:
        if cell is not None and cell.detour is not None:
            here.routes[0].detour(cell.column.dial, DETOURS[cell.detour])
        client = here.call("twilio", Telephone)
        client.send_text(json.dumps(start_event()))
        answers = [client.ask("1"), client.ask("2")]
        client.send("stop")
        return answers, client.wait_for_end(timeout_s=3.0), here.routes[0].dials


@cache
def reference():
    """Hold the call without a fault, once."""
    return hold()


CELLS = [
    cell
    for row in ROWS
    for column in PLACES
    for cell in [Cell(row, column, "openai", "audio")]
    if cell.outcome is Outcome.ANSWERED and cell.detour is not Route.ABRUPT and column is not DIALLING
]


def test_without_a_fault_both_questions_are_answered():
    answers, code, dials = reference()
    assert min(answers) > 1.0
    assert (code, dials) == (1000, 1)


@pytest.mark.parametrize("cell", [cell if cell.row.name in FIRST else further(cell) for cell in CELLS], ids=str)
def test_each_question_is_answered_and_no_more_than_a_word_is_heard_twice(cell):
    wanted, *_ = reference()
    answers, code, dials = hold(cell)
    assert code == 1000
    assert dials >= 1 + cell.losses
    for answer_s, reference_s in zip(answers, wanted, strict=True):
        assert reference_s - 0.1 <= answer_s <= reference_s + REPEATED_S
