"""Runs cells of the fault matrix. Each cell has a world, the conversation of its column, and a verdict in words.

A cell is right when its list of faults is empty. A `Medium` says where its conversation is held: over sockets
(`over_sockets`) or in virtual time (`in_virtual_time`).
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from actors.connections.frames import close_frame, text_frames
from router.config.model import Deadlines
from router.simulator import FaultAction
from tests.support.clients.wire_client import StreamClient
from tests.support.faults.matrix import COLUMNS, RESTART, ROLLOVER, Cell, Outcome, Scenario, Where
from tests.support.faults.talk import (
    GET_WEATHER,
    GIVE_UP_S,
    LAST_WORDS,
    MEMORY,
    NAME,
    QUESTION,
    Conversation,
    Seen,
    faults_of_answers,
    faults_of_cut_answers,
    faults_of_order,
)
from tests.support.faults.world import DEADLINES, Route

BACK_OFF_S = (0.0, 0.6, 1.2)
"""The longest back-off before each restart in a row, in seconds."""

BUDGET_S = 8.0
"""The longest time in seconds until a session ends if every restart fails."""

PATIENCE = 8
PATIENT = msgspec.structs.replace(
    DEADLINES,
    **{
        name: PATIENCE * getattr(DEADLINES, name)
        for name in (
            *("dial_s", "session_created_s", "session_updated_s", "item_ack_s", "first_event_s", "next_event_s"),
            *("ping_interval_s", "ping_timeout_s"),
        )
    },
)
"""The deadlines beside a stall. Their ratio to the stall is that of production."""

PATIENT_S = 40.0
SILENCE_S = 1.0
"""The additional seconds until the detector finds the end of speech that arrives in real time."""
BUSY_S = 4.0
"""The additional seconds on a machine whose cores are busy."""

ROLL_S = 0.25
NOTICE_S = 2.0
"""The seconds within which the router notices a lost upstream, if a test waits for that."""

CLOSE_NORMAL = 1000
CLOSE_TRY_AGAIN = 1011


class World(Protocol):
    """The part of a world that a conversation uses besides its client."""

    routes: list[Route]

    def stall(self, where: Where, duration_s: float) -> None:
        """Let the dispatcher or one direction of the network stand still for this time."""


@dataclass(frozen=True)
class Medium:
    """A way to hold conversations: over sockets, or in virtual time."""

    name: str
    open: Callable[[str, str, Deadlines, Cell | None], AbstractContextManager[tuple[World, StreamClient]]]
    """Makes a world and its client for a profile and a modality, with the faults of the cell, if one is given."""
    prompt_s: Callable[[Cell], float]
    """Returns the longest time for a step of a cell, without deadlines and back-offs."""


def run(cell: Cell, medium: Medium) -> list[str]:
    """Hold the cell's conversation, and return its faults in words."""
    got = hold(cell, medium)
    return [f"{cell}, {medium.name}: {fault}" for fault in judge(cell, got, medium)]


def run_to_the_end(cell: Cell, medium: Medium) -> list[str]:
    """Hold the conversation of a cell whose fault happens on every dial. Return the faults of its end in words."""
    got = hold(cell, medium)
    wanted = reference(cell.column.scenario, cell.profile, cell.modality, medium)
    wrong = faults_of_order(got, wanted) + _faults_of_an_end(got, CLOSE_TRY_AGAIN)
    wrong += [f"{name} took {took:.2f} s" for name, took in got.steps_s.items() if took > BUDGET_S]
    return [f"{cell}, always, {medium.name}: {fault}" for fault in wrong]


# The conversation.


def hold(cell: Cell, medium: Medium) -> Seen:
    """Hold the cell's conversation in a new world."""
    scenario = cell.column.scenario
    with medium.open(cell.profile, cell.modality, _deadlines(scenario, cell), cell) as (here, client):
        ends_on_error = cell.outcome is Outcome.TOLD and cell.column.spoils
        give_up_s = GIVE_UP_S if cell.column in COLUMNS else PATIENT_S
        conversation = Conversation(client, cell.modality, ends_on_error=ends_on_error, give_up_s=give_up_s)
        return conversation.run(functools.partial(SCENARIOS[scenario], world=here, cell=cell))


@functools.cache
def reference(scenario: Scenario, profile: str, modality: str, medium: Medium, *, is_in_time: bool = False) -> Seen:
    """Hold the same conversation without a fault. With `is_in_time` its speech arrives in real time."""
    with medium.open(profile, modality, _deadlines(scenario, None), None) as (here, client):
        talk = _speak_in_time if is_in_time else SCENARIOS[scenario]
        got = Conversation(client, modality).run(functools.partial(talk, world=here, cell=None))
    assert not got.stuck, got.stuck
    assert not got.errors, got.errors
    assert got.close_code == CLOSE_NORMAL
    return got


def _deadlines(scenario: Scenario, cell: Cell | None) -> Deadlines:
    if cell is not None and cell.column not in COLUMNS:
        return PATIENT
    # An `expires_at` nearer than the gap between rollovers is not trusted: our own clock decides then.
    changed = {"rollover_after_s": ROLL_S, "rollover_interval_s": 3600.0} if scenario is Scenario.ROLLOVER else {}
    return msgspec.structs.replace(DEADLINES, **changed)


def _write(conversation: Conversation, *, world: World, cell: Cell | None) -> None:  # noqa: ARG001
    conversation.apply_settings()
    conversation.ask(QUESTION)
    _remember(conversation)


def _call(conversation: Conversation, *, world: World, cell: Cell | None) -> None:
    def see_the_loss() -> None:
        # The answer of the client comes when the next upstream is being dialled already.
        if cell is not None and cell.losses and cell.row.fault.get("action") is not FaultAction.HANG:
            conversation.hear_until(lambda: world.routes[0].dials > 1, NOTICE_S)

    conversation.apply_settings(GET_WEATHER)
    conversation.ask_for_weather(see_the_loss if cell and cell.column.name.endswith("outstanding") else lambda: None)
    _remember(conversation)


def _speak(conversation: Conversation, *, world: World, cell: Cell | None) -> None:
    if cell is not None and cell.column.stall is not None:
        _speak_in_time(conversation, world=world, cell=cell)
        return
    conversation.apply_settings()
    conversation.speak()
    _remember(conversation)


def _speak_in_time(conversation: Conversation, *, world: World, cell: Cell | None) -> None:
    conversation.apply_settings()
    stall = cell.column.stall if cell is not None else None
    conversation.speak_in_time(
        functools.partial(world.stall, stall.where, stall.duration_s) if stall is not None else lambda: None
    )
    _remember(conversation)


def _roll_over(conversation: Conversation, *, world: World, cell: Cell | None) -> None:  # noqa: ARG001
    conversation.apply_settings()
    conversation.ask(QUESTION)
    conversation.hear_until(lambda: world.routes[0].dials > 1, NOTICE_S)
    conversation.ask(MEMORY)
    conversation.client.hear(ROLL_S)
    conversation.ask(NAME)
    conversation.ask(LAST_WORDS)


def _remember(conversation: Conversation) -> None:
    conversation.ask(MEMORY)
    conversation.ask(LAST_WORDS)


SCENARIOS: dict[Scenario, Callable[..., None]] = {
    Scenario.TEXT: _write,
    Scenario.TOOL: _call,
    Scenario.SPEECH: _speak,
    Scenario.ROLLOVER: _roll_over,
}


def last_frames(cell: Cell) -> bytes:
    """Return the frames that the server of `Route.ABRUPT` sends together with its handshake."""
    fault = cell.row.fault
    if fault["action"] is FaultAction.MALFORMED:
        return b"".join(text_frames('{"type": "session.cre', mask=False, max_frame_bytes=1024))
    error = b""
    if "error_code" in fault:
        text = f'{{"type": "error", "error": {{"type": "{fault["error_type"]}", "code": "{fault["error_code"]}"}}}}'
        error = b"".join(text_frames(text, mask=False, max_frame_bytes=1024))
    return error + close_frame(fault["code"], fault.get("reason", ""), mask=False)


# The verdict.


def judge(cell: Cell, got: Seen, medium: Medium) -> list[str]:
    """Return the faults of a conversation in words."""
    is_in_time = cell.column.stall is not None
    wanted = reference(cell.column.scenario, cell.profile, cell.modality, medium, is_in_time=is_in_time)
    wrong = faults_of_order(got, wanted) + _VERDICTS[cell.outcome](cell, got, wanted)  # type: ignore[index]
    limit_s = limit_of(cell, medium)
    return wrong + [
        f"{name} took {took:.2f} s, not {limit_s:.2f}" for name, took in got.steps_s.items() if took > limit_s
    ]


def limit_of(cell: Cell, medium: Medium) -> float:
    """Return the longest time for a step of a cell, in seconds."""
    restarts = cell.losses - (1 if cell.outcome is Outcome.ENDED else 0)
    detect_s, stalled_s = cell.row.detect_s, 0.0
    if cell.column not in COLUMNS:
        detect_s *= PATIENCE
        stalled_s = cell.column.stall.duration_s + SILENCE_S if cell.column.stall else BUSY_S
    return medium.prompt_s(cell) + detect_s + sum(BACK_OFF_S[: max(0, restarts)]) + stalled_s


def _judge_answered(cell: Cell, got: Seen, wanted: Seen) -> list[str]:
    wrong = faults_of_answers(got, wanted)
    if got.errors:
        wrong.append(f"errors {got.errors}")
    return wrong + _faults_of_warnings(cell, got) + _faults_of_a_normal_end(got)


def _judge_cut(cell: Cell, got: Seen, wanted: Seen) -> list[str]:
    wrong = faults_of_cut_answers(got, wanted)
    if got.errors:
        wrong.append(f"errors {got.errors}")
    is_whole = cell.column is ROLLOVER and not faults_of_answers(got, wanted)
    if "RESPONSE_INCOMPLETE" not in got.warnings and not is_whole:  # another upstream may have taken over in time
        wrong.append("no warning that the answer is cut short")
    return wrong + _faults_of_warnings(cell, got) + _faults_of_a_normal_end(got)


def _judge_told(cell: Cell, got: Seen, wanted: Seen) -> list[str]:
    wrong = [f"stuck: {got.stuck}"] if got.stuck else []
    quietly = cell.column is ROLLOVER or (cell.column.is_before_settings and not got.errors) or cell.column is RESTART
    if tuple(got.errors) != cell.row.codes and not (quietly and not got.errors):
        wrong.append(f"errors {got.errors} instead of {cell.row.codes}")
    if not cell.column.spoils:
        wrong += faults_of_answers(got, wanted)
    elif not got.turns or got.turns[-1].words != wanted.turns[-1].words:
        wrong.append(f"the last answer was {got.turns[-1].said if got.turns else None}")
    return wrong + _faults_of_a_normal_end(got)


def _judge_ended(cell: Cell, got: Seen, wanted: Seen) -> list[str]:
    wrong = _faults_of_an_end(got, CLOSE_NORMAL)
    if got.errors != list(cell.row.codes):
        wrong.append(f"errors {got.errors} instead of {list(cell.row.codes)}")
    for turn, whole in zip(got.turns, wanted.turns, strict=False):
        if turn.words != whole.words:
            wrong.append(f"said {turn.said} instead of {whole.said}")
    return wrong


def _faults_of_an_end(got: Seen, close_code: int) -> list[str]:
    wrong = [f"stuck: {got.stuck}"] if got.stuck else []
    if len(got.errors) != 1 or got.last != "Error":
        wrong.append(f"ended with {got.last}, errors {got.errors}")
    if got.close_code != close_code:
        wrong.append(f"closed with {got.close_code} instead of {close_code}")
    return wrong


_VERDICTS = {
    Outcome.ANSWERED: _judge_answered,
    Outcome.CUT: _judge_cut,
    Outcome.TOLD: _judge_told,
    Outcome.ENDED: _judge_ended,
}


def _faults_of_warnings(cell: Cell, got: Seen) -> list[str]:
    recovered = got.warnings.count("SESSION_RECOVERED")
    restarted = got.warnings.count("UPSTREAM_RESTARTED") + recovered
    most = 0 if cell.column.is_before_settings else cell.losses
    wrong = [] if min(1, most) <= restarted <= most else [f"UPSTREAM_RESTARTED {restarted} times, not {most}"]
    if recovered != (cell.row.kills and not cell.column.is_before_settings):
        wrong.append(f"SESSION_RECOVERED {recovered} times")
    known = {"UPSTREAM_RESTARTED", "SESSION_RECOVERED"} | (
        {"RESPONSE_INCOMPLETE"} if cell.outcome is Outcome.CUT else set()
    )
    other = [code for code in got.warnings if code not in known]
    if cell.column is ROLLOVER and other == ["MAXIMUM_SESSION_LENGTH_APPROACHING"]:
        return wrong  # the next upstream could not be got ready at the first try
    return wrong + ([f"warnings {other}"] if other else [])


def _faults_of_a_normal_end(got: Seen) -> list[str]:
    return [] if got.close_code == CLOSE_NORMAL else [f"closed with {got.close_code}"]
