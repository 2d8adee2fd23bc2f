"""The machines around a session: a lost call is kept, and a client that is back may send its Settings again."""

import json

import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from router.json_bounds import MAX_RECOUNT_CHARS, MAX_VALUES
from router.resume.keeping import GreetingMachine, KeepingMachine, ReturningMachine

SETTINGS = messages.ClientTextReceived('{"type": "Settings"}')
QUESTION = messages.ClientTextReceived('{"type": "InjectUserMessage", "content": "\\"Settings\\""}')
DRAIN = messages.DrainBegan(30.0)
DRAINED = messages.EndSession(1012, "SERVER_GOING_AWAY")


class Stub:
    """A machine and its value: each input makes another value, and brings the commands that a test names."""

    def __init__(self):
        self.inputs = []
        self.commands = {}
        self.snapshots = 0
        self.cannot = False
        self.is_applied = True
        self.repeats_settings = False

    def handle(self, message, _now_s):
        self.inputs.append(message)
        return self.commands.get(type(message), [])

    def held_bytes(self):
        return 7

    def describe(self):
        return {"inputs": len(self.inputs)}

    @property
    def snapshot_due(self):
        return len(self.inputs)

    def snapshot(self):
        if self.cannot:
            raise ValueError("no value")
        self.snapshots += 1
        return str(len(self.inputs)).encode()


def closed(code, ending=Ending.CLOSED_BY_PEER):
    return messages.ClientClosed(ConnectionClosed(ending=ending, code=code))


@pytest.fixture
def stub():
    return Stub()


def keeping(stub):
    kept = []
    return KeepingMachine(stub, stub, kept.append), kept


@pytest.mark.parametrize(("code", "is_kept"), [(1000, False), (1001, True), (1006, True)])
def test_a_call_is_kept_where_its_client_did_not_end_it(stub, code, is_kept):
    machine, kept = keeping(stub)
    machine.handle(QUESTION, 0.0)
    assert stub.snapshots == 0, "a snapshot costs time, and the call goes on"
    machine.handle(closed(code), 1.0)
    assert kept == ([b"1"] if is_kept else []), "the value before the end"
    assert len(stub.inputs) == 2


def test_a_call_that_a_drain_closes_is_kept_once(stub):
    machine, kept = keeping(stub)
    stub.commands[messages.DrainBegan] = [DRAINED]
    assert list(machine.handle(DRAIN, 0.0)) == [DRAINED]
    machine.handle(closed(1012, Ending.CLOSED_BY_US), 1.0)
    assert kept[0] == b"0"


def test_a_draining_call_is_kept_as_it_was_before_its_last_input(stub):
    machine, kept = keeping(stub)
    machine.handle(DRAIN, 0.0)
    stub.commands[messages.TimerFired] = [DRAINED]
    machine.handle(QUESTION, 1.0)
    assert kept == []
    machine.handle(messages.TimerFired("playback"), 2.0)
    assert kept == [b"2"]


def test_an_end_for_another_reason_is_not_kept(stub):
    machine, kept = keeping(stub)
    stub.commands[messages.DrainBegan] = [messages.EndSession(1011, "UPSTREAM_CLOSED")]
    machine.handle(DRAIN, 0.0)
    assert kept == []


def test_a_session_that_cannot_be_written_ends_as_before(stub):
    machine, kept = keeping(stub)
    stub.cannot = True
    machine.handle(closed(1006), 0.0)
    assert (kept, len(stub.inputs)) == ([], 1)
    assert (machine.held_bytes(), machine.describe()) == (7, {"inputs": 1})


def test_the_first_settings_of_a_client_that_is_back_are_answered_and_not_applied(stub):
    machine = ReturningMachine(stub, stub)
    machine.handle(messages.ClientBinaryReceived(b"audio"), 0.0)
    machine.handle(QUESTION, 0.0)
    assert stub.repeats_settings, "a move before the Settings takes this along"
    (command,) = machine.handle(SETTINGS, 0.0)
    assert not stub.repeats_settings
    assert json.loads(command.frame) == {"type": "SettingsApplied"}
    assert SETTINGS not in stub.inputs
    machine.handle(SETTINGS, 0.0)
    assert stub.inputs[-1] == SETTINGS, "second ones are the client's mistake"


def test_the_answer_of_a_session_that_still_configures_its_upstream_is_its_own(stub):
    stub.is_applied = False
    assert list(ReturningMachine(stub, stub).handle(SETTINGS, 0.0)) == []


def test_a_text_that_is_no_json_is_the_session_s_to_judge(stub):
    broken = messages.ClientTextReceived('{"type": "Settings"')
    ReturningMachine(stub, stub).handle(broken, 0.0)
    assert stub.inputs == [broken]


def test_a_text_beyond_the_bounds_is_the_session_s_to_judge(stub):
    wide = messages.ClientTextReceived('{"type": "Settings", "a": [' + "[]," * MAX_VALUES + "0]}")
    ReturningMachine(stub, stub).handle(wide, 0.0)
    assert stub.inputs == [wide]


DEEP = '{"type":"Welcome","a":' + "[" * 260 + "]" * 260 + "}"
DEEP_AND_LONG = DEEP.replace("[]", '["' + "x" * MAX_RECOUNT_CHARS + '"]')


class Script:
    """A machine whose commands a test names."""

    def __init__(self, *frames):
        self.frames = [messages.SendToClient(it) for it in frames]
        self.held_bytes = self.describe = dict

    def handle(self, _message, _now_s):
        commands, self.frames = self.frames[:1], self.frames[1:]
        return commands


def greeted(*frames):
    machine = GreetingMachine(Script(*frames), frozenset(("Welcome",)), {"resume_token": "t"})
    return [it.frame for _ in frames for it in machine.handle(messages.ClientOpened(), 0.0)]


def test_the_first_event_of_a_session_gets_the_token_and_no_other_event():
    assert greeted('{"type":"Welcome"}', '{"type":"Welcome"}') == [
        '{"type":"Welcome","resume_token":"t"}',
        '{"type":"Welcome"}',
    ]


@pytest.mark.parametrize(
    "first",
    ['{"type":"Warning"}', "[]", "no JSON", b"audio", '{"type":[]}', DEEP, DEEP_AND_LONG],
    ids=["a warning", "a list", "no JSON", "audio", "no type", "deep", "deep and long"],
)
def test_a_session_from_another_process_has_begun_before(first):
    assert greeted(first, '{"type":"Welcome"}') == [first, '{"type":"Welcome"}']
