"""Runs cells of the fault matrix: a world for each, the conversation of its column, and a verdict in words.

A cell is right when its list of faults is empty.
"""

import atexit
import base64
import contextlib
import functools
import hashlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from actors.connections.frames import close_frame, text_frames
from router.config.model import Deadlines
from router.simulator import FaultAction, SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.matrix import RESTART, ROLLOVER, Cell, Outcome, Route, UserSpeech
from tests.support.faults.talk import (
    GET_WEATHER,
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
from tests.support.faults.world import DEADLINES, Authority, World, dead_port, world

PROMPT_S = 1.0
"""From a loss to the answer, on this machine and without a back-off."""

BACK_OFF_S = (0.0, 0.6, 1.2)
"""Before each restart in a row, at most."""

BUDGET_S = 8.0
"""Until a session ends whose restarts are of no use."""

ROLL_S = 0.25
NOTICE_S = 2.0
"""For the router to see that its upstream is gone, where a test waits for that."""

CLOSE_NORMAL = 1000
CLOSE_TRY_AGAIN = 1011

ALWAYS = 1000

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def run(cell: Cell) -> list[str]:
    """Hold the cell's conversation; what was wrong."""
    got = hold(cell)
    return [f"{cell}: {fault}" for fault in judge(cell, got)]


def run_to_the_end(cell: Cell) -> list[str]:
    """Hold the conversation of a cell whose fault happens always; what was wrong with its end."""
    got = hold(cell)
    wanted = reference(cell.column.talk, cell.profile, cell.modality)
    wrong = faults_of_order(got, wanted) + _faults_of_an_end(got, CLOSE_TRY_AGAIN)
    wrong += [f"{name} took {took:.2f} s" for name, took in got.steps_s.items() if took > BUDGET_S]
    return [f"{cell}, always: {fault}" for fault in wrong]


# The conversation.


def hold(cell: Cell) -> Seen:
    """Hold the cell's conversation in a world of its own."""
    with contextlib.ExitStack() as stack:
        uses_tls = cell.detour is Route.NO_TLS
        here = stack.enter_context(
            world(
                SimulatorConfig(pace=0, faults=cell.faults),
                authority=authority() if uses_tls else None,
                deadlines=_deadlines(cell.column.talk),
            )
        )
        _plan_detour(stack, cell, here)
        client = stack.enter_context(WireClient(here.url(cell.profile)))
        ends_on_error = cell.outcome is Outcome.TOLD and cell.column.spoils
        conversation = Conversation(client, cell.modality, ends_on_error=ends_on_error)
        return conversation.run(functools.partial(_TALKS[cell.column.talk], world=here, cell=cell))


@functools.cache
def reference(talk: UserSpeech, profile: str, modality: str) -> Seen:
    """The same conversation without a fault."""
    with (
        world(SimulatorConfig(pace=0), deadlines=_deadlines(talk)) as here,
        WireClient(here.url(profile)) as client,
    ):
        got = Conversation(client, modality).run(functools.partial(_TALKS[talk], world=here, cell=None))
    assert not got.stuck, got.stuck
    assert not got.errors, got.errors
    assert got.close_code == CLOSE_NORMAL
    return got


def _deadlines(talk: UserSpeech) -> Deadlines:
    # An `expires_at` nearer than the gap between rollovers is not trusted: our own clock decides then.
    changed = {"rollover_after_s": ROLL_S, "rollover_interval_s": 3600.0} if talk is UserSpeech.ROLLOVER else {}
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


def _speak(conversation: Conversation, *, world: World, cell: Cell | None) -> None:  # noqa: ARG001
    conversation.apply_settings()
    conversation.speak()
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


_TALKS: dict[UserSpeech, Callable[..., None]] = {
    UserSpeech.TEXT: _write,
    UserSpeech.TOOL: _call,
    UserSpeech.SPEECH: _speak,
    UserSpeech.ROLLOVER: _roll_over,
}


# Dials that never reach the simulator.


@functools.cache
def authority() -> Authority:
    """The one of this test run."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Authority(Path(folder.name))


def _plan_detour(stack: contextlib.ExitStack, cell: Cell, here: World) -> None:
    first, times = cell.column.dial, cell.times or ALWAYS
    match cell.detour:
        case Route.REFUSED:
            here.routes[0].detour(first, stack.enter_context(dead_port()), times=times)
        case Route.UNKNOWN:
            here.routes[0].detour(first, None, times=times)
        case Route.NO_TLS:  # a server that does not speak it
            port = int(here.simulator.url.rsplit(":", 1)[1].split("/")[0])
            here.routes[0].detour(first, port, times=times)
        case Route.ABRUPT:
            here.routes[0].detour(first, stack.enter_context(abrupt(_last_frames(cell))), times=times)


def _last_frames(cell: Cell) -> bytes:
    fault = cell.row.fault
    if fault["action"] is FaultAction.MALFORMED:
        return b"".join(text_frames('{"type": "session.cre', mask=False, max_frame_bytes=1024))
    error = b""
    if "error_code" in fault:
        text = f'{{"type": "error", "error": {{"type": "{fault["error_type"]}", "code": "{fault["error_code"]}"}}}}'
        error = b"".join(text_frames(text, mask=False, max_frame_bytes=1024))
    return error + close_frame(fault["code"], fault.get("reason", ""), mask=False)


@contextlib.contextmanager
def abrupt(frames: bytes) -> Iterator[int]:
    """A server that says its last in the very packet that completes the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve_abruptly, args=(listener, frames), name="abrupt")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve_abruptly(listener: socket.socket, frames: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(1.0)
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n") if b": " in line)
                accept = base64.b64encode(hashlib.sha1(lines[b"Sec-WebSocket-Key"] + GUID).digest())  # noqa: S324
                head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                connection.sendall(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + frames)
                with contextlib.suppress(TimeoutError):
                    connection.recv(65536)


# The verdict.


def judge(cell: Cell, got: Seen) -> list[str]:
    """What was wrong with what a client saw."""
    wanted = reference(cell.column.talk, cell.profile, cell.modality)
    wrong = faults_of_order(got, wanted) + _VERDICTS[cell.outcome](cell, got, wanted)  # type: ignore[index]
    limit_s = limit_of(cell)
    return wrong + [
        f"{name} took {took:.2f} s, not {limit_s:.2f}" for name, took in got.steps_s.items() if took > limit_s
    ]


def limit_of(cell: Cell) -> float:
    """How long a step may take."""
    restarts = cell.losses - (1 if cell.outcome is Outcome.ENDED else 0)
    return PROMPT_S + cell.row.detect_s + sum(BACK_OFF_S[: max(0, restarts)])


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
    restarted = got.warnings.count("UPSTREAM_RESTARTED")
    most = 0 if cell.column.is_before_settings else cell.losses
    wrong = [] if min(1, most) <= restarted <= most else [f"UPSTREAM_RESTARTED {restarted} times, not {most}"]
    known = {"UPSTREAM_RESTARTED"} | ({"RESPONSE_INCOMPLETE"} if cell.outcome is Outcome.CUT else set())
    other = [code for code in got.warnings if code not in known]
    if cell.column is ROLLOVER and other == ["MAXIMUM_SESSION_LENGTH_APPROACHING"]:
        return wrong  # the next upstream could not be got ready at the first try
    return wrong + ([f"warnings {other}"] if other else [])


def _faults_of_a_normal_end(got: Seen) -> list[str]:
    return [] if got.close_code == CLOSE_NORMAL else [f"closed with {got.close_code}"]
