"""The tables themselves: every pair of a state and an input has an answer."""

import ast
import re
from pathlib import Path

import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router.deepgram import blocks
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.openai import codec as openai_codec
from router.openai import events as openai
from router.session import inputs, transitions
from router.session.deadlines import Wait
from router.session.state.states import Lifecycle, ResponseState, StandbyState, UserTurnState
from router.session.work import WorkKind, work_key
from tests.support.machine.playbook import SETTINGS, Playbook, response_created

ROOT = Path(__file__).parents[3]
LOSS = Loss(kind=LossKind.CLOSED, code=1000)
CLOSED = ConnectionClosed(ending=Ending.RESET, code=1006)
EXAMPLES = [
    deepgram.Settings(audio=deepgram.Audio(), agent=blocks.Agent()),
    deepgram.InjectUserMessage("hello"),
    deepgram.FunctionCallResponse(id="call_1", name="f", content="42"),
    deepgram.KeepAlive(),
    deepgram.ForceEndTurn(),
    deepgram.InjectAgentMessage(message="Hello."),
    deepgram.UpdatePrompt("Be brief."),
    deepgram.UpdateThink(blocks.Think()),
    deepgram.UpdateSpeak(blocks.Speak()),
    deepgram.UpdateListen(blocks.Listen()),
    deepgram.UpdateThinkLive(),
    deepgram.CustomToThinkProvider(),
    deepgram_codec.Unparsable("no"),
    deepgram_codec.Foreign("Nonsense", {}, "{}"),
    inputs.MicrophoneAudio(b"\0\0" * 240),
    inputs.EchoedUserMessage("hello"),
    inputs.PassthroughSessionUpdate('{"type":"session.update","session":{"type":"realtime"}}'),
    inputs.PassthroughItemCreate('{"type":"conversation.item.create","item":{}}', {}),
    inputs.PassthroughResponseCreate('{"type":"response.create"}'),
    inputs.PassthroughCommit('{"type":"input_audio_buffer.commit"}'),
    inputs.PassthroughAppend('{"type":"input_audio_buffer.append","audio":""}'),
    inputs.PassthroughEvent('{"type":"response.cancel"}'),
    inputs.PassthroughItemDelete('{"type":"conversation.item.delete","item_id":"i"}'),
    messages.ClientOpened(),
    messages.ClientAdopted(),
    messages.ClientOverflowed(1),
    messages.ClientCaughtUp(),
    messages.ClientPaused(),
    messages.ClientResumed(),
    messages.ClientClosed(CLOSED),
    messages.UpstreamOpened(1, 0, 0.0),
    messages.UpstreamLost(1, LOSS, Verdict(decision=Decision.TEAR_DOWN)),
    messages.UpstreamLost(1, LOSS, Verdict(decision=Decision.RESTART)),
    messages.DrainBegan(30.0),
    messages.EndRequested(),
    messages.MoveRequested(),
    *(messages.TimerFired(wait.value) for wait in Wait),
    *(messages.WorkDone(work_key(kind, "x")) for kind in WorkKind),
    openai_codec.Malformed("not JSON"),
    openai_codec.Unknown("response.dance", "unknown type"),
    openai.Ignored(),
    *(event_class() for event_class in openai.SERVER_EVENTS.values()),
]

STATES = [
    *((lifecycle, ResponseState.NONE) for lifecycle in Lifecycle),
    (Lifecycle.READY, ResponseState.REQUESTED),
    (Lifecycle.READY, ResponseState.ACTIVE),
]

STATE_ATTRIBUTES = {"lifecycle", "phase", "response", "standby_state"}

SIGNALS = [
    inputs.CommitSent(is_by_client=True, event_id="c"),
    inputs.CommitSent(is_by_client=False, event_id="c"),
    inputs.CommitRefused(is_empty=True, event_id=None),
    inputs.CommitRefused(is_empty=False, event_id=None),
    inputs.CommitTimedOut(),
    inputs.SpeechTimedOut(),
    inputs.DetectionStopped(),
    inputs.SpeechReplayed(),
    inputs.SpeechAnswered(),
    inputs.AnswerRequested(),
    inputs.NoiseFound(None),
]


def in_state(lifecycle, response=ResponseState.NONE):
    """Return a session in this state, on the way of real sessions."""
    book = Playbook().opened()
    if lifecycle is Lifecycle.AWAITING_SETTINGS:
        return book
    book.client(SETTINGS)
    if lifecycle is Lifecycle.CONNECTING:
        return book
    book.upstream({"type": "session.created"})
    if lifecycle is Lifecycle.CONFIGURING:
        return book
    book.upstream({"type": "session.updated"})
    if response is not ResponseState.NONE:
        book.client({"type": "response.create"})
    if response is ResponseState.ACTIVE:
        book.upstream(response_created())
    return book.upstream_closes() if lifecycle is Lifecycle.ENDED else book


@pytest.mark.parametrize(("lifecycle", "response"), STATES, ids=lambda state: state.name)
def test_every_pair_of_state_and_input_has_an_answer(lifecycle, response):
    """A listed input runs its handler and enters a state of the row, or ENDED. An unlisted input is counted."""
    for example in EXAMPLES:
        session = in_state(lifecycle, response).session
        assert (session.state.lifecycle, session.state.turn.response) == (lifecycle, response)
        ignored = session.state.ignored
        session.context.take_commands()
        row = transitions.LIFECYCLE[lifecycle].get(type(example))

        session.take(example)

        if row is None:
            assert session.state.lifecycle is lifecycle
            assert session.state.ignored == ignored + 1
        else:
            assert session.state.lifecycle in {row.next_state, *row.instead, Lifecycle.ENDED}


@pytest.mark.parametrize("response", ResponseState)
def test_every_response_state_leads_where_its_table_says(response):
    for example in (example for example in EXAMPLES if type(example) in transitions.RESPONSE_INPUTS):
        session = in_state(Lifecycle.READY, response).session
        session.context.take_commands()
        row = transitions.RESPONSE[response].get(type(example))
        session.take(example)
        has_ended = session.state.lifecycle is Lifecycle.ENDED  # the end is no transition of the response
        expected = {response} if row is None or has_ended else {row.next_state, *row.instead}
        assert session.state.turn.response in expected


def in_phase(phase):
    """Return a session whose user's turn has this phase, with the turn."""
    session = in_state(Lifecycle.READY).session
    turns = session.state.user_turns
    steps = [
        openai.InputAudioBufferSpeechStarted("u"),
        openai.InputAudioBufferSpeechStopped(),
        openai.InputAudioBufferCommitted("u"),
    ]
    if phase is UserTurnState.COMMITTING:
        steps = [inputs.PassthroughCommit('{"type":"input_audio_buffer.commit"}')]
    for step in steps:
        turn = turns.owed[0] if turns.owed else turns.current
        if turn.phase is phase:
            break
        session.take(step)
    turn = turns.owed[0] if turns.owed else turns.current
    assert turn.phase is phase
    return session, turn


@pytest.mark.parametrize("phase", UserTurnState)
def test_every_phase_of_the_user_s_turn_leads_where_its_table_says(phase):
    examples = [it for it in EXAMPLES if type(it) in transitions.USER_TURN_INPUTS]
    for example in [*examples, *SIGNALS]:
        session, turn = in_phase(phase)
        session.context.take_commands()
        row = transitions.USER_TURN[phase].get(type(example))
        if type(example) in transitions.SIGNALS:
            session.context.signal(example)
            session.take(deepgram.KeepAlive())
        else:
            session.take(example)
        assert turn.phase in ({phase} if row is None else {row.next_state, *row.instead})


def test_every_phase_but_the_first_has_a_deadline_that_its_end_stops():
    for phase, waits in transitions.USER_TURN_DEADLINES.items():
        assert bool(waits) is (phase is not UserTurnState.IDLE)
        session, turn = in_phase(phase)
        commands = session.context.take_commands()
        if waits:
            started = [it.name for it in commands if isinstance(it, messages.StartTimer)]
            assert waits[0].value in started
            if phase is UserTurnState.AWAITING_ANSWER:
                session.context.signal(inputs.NoiseFound(None))
            session.take(inputs.PassthroughEvent('{"type":"input_audio_buffer.clear"}'))
            session.take(openai.InputAudioBufferCleared())
            assert turn.phase is UserTurnState.IDLE
            stopped = {it.name for it in session.context.take_commands() if isinstance(it, messages.CancelTimer)}
            assert stopped >= {wait.value for wait in waits}


def test_every_signal_of_the_user_s_turn_has_a_row():
    listed = {kind for table in transitions.USER_TURN.values() for kind in table}
    assert {type(signal) for signal in SIGNALS} == listed - transitions.USER_TURN_INPUTS


def test_every_kind_of_work_has_a_handler():
    assert set(transitions.WORK) == set(WorkKind)


def test_every_state_has_a_table():
    assert set(transitions.LIFECYCLE) == set(Lifecycle)
    assert set(transitions.RESPONSE) == set(ResponseState)
    assert set(transitions.STANDBY) == set(StandbyState)
    assert set(transitions.USER_TURN) == set(transitions.USER_TURN_DEADLINES) == set(UserTurnState)


def test_no_transition_leaves_the_end():
    rows = transitions.LIFECYCLE[Lifecycle.ENDED]
    assert {kind: row.next_state for kind, row in rows.items()} == {messages.ClientAdopted: Lifecycle.ENDED}


def test_every_input_is_listed_in_some_state():
    listed = {kind for table in transitions.LIFECYCLE.values() for kind in table}
    assert {type(example) for example in EXAMPLES} == listed


def test_the_standby_upstream_accepts_only_what_the_one_in_use_accepts():
    listed = {kind for table in transitions.LIFECYCLE.values() for kind in table}
    assert {kind for table in transitions.STANDBY.values() for kind in table} <= listed | transitions.SIGNALS
    assert set(transitions.STANDBY) == set(StandbyState)


def test_a_client_receives_a_message_before_every_close():
    for lifecycle, response in STATES:
        for example in EXAMPLES:
            book = in_state(lifecycle, response).forget()
            book.session.context.take_commands()
            book.session.take(example)
            kinds = [type(command) for command in book.session.context.take_commands()]
            if messages.EndSession in kinds:
                assert book.session.state.lifecycle is Lifecycle.ENDED
            # A session that ends again in another process has sent its last message in the first one.
            has_sent = lifecycle is Lifecycle.ENDED or isinstance(example, messages.ClientClosed)
            if messages.EndSession in kinds and not has_sent:
                assert kinds.index(messages.SendToClient) < kinds.index(messages.EndSession)


def test_no_code_but_the_machine_assigns_a_state():
    """A constructor gives a state its first value; every later one is entered through a table."""
    room = ROOT / "router" / "session"
    for path in room.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constructors = [node for node in ast.walk(tree) if getattr(node, "name", None) == "__init__"]
        first_values = {id(node) for constructor in constructors for node in ast.walk(constructor)}
        assigned = [
            target.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and id(node) not in first_values
            for written in (node.targets if isinstance(node, ast.Assign) else [node.target])
            for target in (written.elts if isinstance(written, ast.Tuple) else [written])
            if isinstance(target, ast.Attribute) and target.attr in STATE_ATTRIBUTES
        ]
        assert not assigned or path.name == "machine.py", f"{path.relative_to(ROOT)} assigns {assigned}"


def test_every_row_is_typed():
    """Mypy checks the types of a row's input and of its states, so neither file may use `Any`."""
    for name in ("tables", "transitions"):
        source = (ROOT / "router" / "session" / f"{name}.py").read_text(encoding="utf-8")
        assert re.findall(r"\bAny\b", source) == [], name
