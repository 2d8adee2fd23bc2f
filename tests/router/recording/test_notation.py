"""The notation of a recording: each input is read as it was written, and damage is one error."""

import orjson
import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router.errors import ToolError
from router.recording import notation
from router.recording.mask import Hidden
from router.recording.notation import NotationError
from router.session import reports
from router.session.work import CallTool

CLOSED = ConnectionClosed(ending=Ending.RESET, code=1006, reason="")
LOSS = Loss(kind=LossKind.CLOSED, code=1011, reason="why", cause="word", is_fatal=True)
VERDICT = Verdict(decision=Decision.RESTART, position=1, delay_s=0.5)

INPUTS = [
    messages.ClientOpened(),
    messages.ClientAdopted(is_planned=True, sent_bytes=9),
    messages.ClientTextReceived('{"type":"KeepAlive"}'),
    messages.ClientTextReceived("a" * 70 + "b" + "c" * 70),
    messages.ClientTextReceived("\ud800 alone"),
    messages.ClientBinaryReceived(bytes(300) + b"\x01"),
    messages.ClientBinaryReceived(b'{"a":1}'),
    messages.ClientOverflowed(7),
    messages.ClientCaughtUp(),
    messages.ClientPaused(),
    messages.ClientResumed(),
    messages.ClientClosed(CLOSED),
    messages.UpstreamOpened(1, 0, 1750000000.125),
    messages.UpstreamTextReceived(1, "é"),
    messages.UpstreamBinaryReceived(2, b"\xff\xfe"),
    messages.UpstreamLost(1, LOSS, VERDICT),
    messages.TimerFired("first_event"),
    messages.DrainBegan(2.5),
    messages.EndRequested(),
    messages.MoveRequested(),
    messages.WorkDone("tool:a", "text"),
    messages.WorkDone("configure:", {"agent": {"greeting": "Hi"}}),
    messages.WorkDone("tool:a", None, messages.WorkFailure(messages.WorkFailureKind.TIMED_OUT)),
]


def reread(message):
    return notation.read_input(orjson.loads(orjson.dumps(notation.input_written(message))))


@pytest.mark.parametrize("message", INPUTS, ids=lambda message: type(message).__name__)
def test_an_input_is_read_as_it_was_written(message):
    assert reread(message) == message


def test_every_input_of_the_engine_is_among_the_examples():
    assert {type(message) for message in INPUTS} == set(messages.Input.__args__)


@pytest.mark.parametrize("error", [ToolError("no answer"), Hidden("KeyError")])
def test_the_exception_of_failed_work_is_read_with_its_text(error):
    failed = messages.WorkDone("tool:a", None, messages.WorkFailure(messages.WorkFailureKind.RAISED, error))
    read = reread(failed).failure.error
    assert (type(read), str(read)) == (type(error), str(error))


def test_a_long_run_takes_no_room():
    assert len(orjson.dumps(notation.written(bytes(30_000)))) < 40
    assert len(orjson.dumps(notation.written(b'{"delta":"' + b"A" * 30_000 + b'"}'))) < 80


def test_commands_name_their_classes_and_those_of_their_parts():
    commands = [
        messages.SendToUpstream(b'{"type":"x"}', 1),
        messages.StartWork("tool:a", CallTool("s", "a", "lookup", "{}"), 20.0),
        messages.Notify(reports.TurnEnded()),
    ]
    written = notation.commands_written(commands)
    assert [command["do"] for command in written] == ["SendToUpstream", "StartWork", "Notify"]
    assert written[0]["frame"] == {"utf8": '{"type":"x"}'}
    assert written[1]["work"] == {
        "is": "CallTool",
        "session_id": "s",
        "call_id": "a",
        "name": "lookup",
        "arguments": "{}",
    }
    assert written[2]["notification"] == {"is": "TurnEnded"}


@pytest.mark.parametrize("value", [2**70, float("nan"), float("inf"), object(), {1, 2}])
def test_a_value_that_json_cannot_express_is_written_all_the_same(value):
    orjson.dumps(notation.written(value))


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {},
        {"in": "Nothing"},
        {"in": ["ClientOpened"]},
        {"in": "ClientTextReceived"},
        {"in": "ClientTextReceived", "text": 7},
        {"in": "ClientTextReceived", "text": {"runs": [["ab", 2, 3]]}},
        {"in": "ClientTextReceived", "text": {"runs": [["a", 10**12]]}},
        {"in": "ClientTextReceived", "text": {"escaped": "no JSON"}},
        {"in": "ClientBinaryReceived", "data": {"bytes": "!"}},
        {"in": "UpstreamTextReceived", "generation": "1", "text": ""},
        {"in": "UpstreamOpened", "generation": 1, "position": "x", "unix_s": 0},
        {"in": "UpstreamLost", "generation": 1, "loss": {"kind": "no"}, "verdict": {}},
        {"in": "WorkDone", "key": "a", "result": {"json": "{"}, "failure": None},
        {"in": "WorkDone", "key": "a", "result": None, "failure": {"kind": "raised", "error": 7}},
        {"in": "ClientClosed", "closed": None},
    ],
)
def test_damage_is_one_error(fields):
    with pytest.raises(NotationError):
        notation.read_input(fields)
