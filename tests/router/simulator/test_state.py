"""The shared parts of a session: ids, the script, and the outbox with its faults."""

import pytest

from router.simulator.commands import CancelTimer, Close, Hang, Pause, Reset, Send, SendRaw, StartTimer
from router.simulator.errors import RequestError
from router.simulator.faults import Fault, FaultAction, FaultPlan, FaultPoint
from router.simulator.history import Call, Say
from router.simulator.state import Ids, Outbox, Script


def outbox_with(*faults):
    return Outbox(Ids(1), FaultPlan(faults), 1)


def fault(action, point="session_update", **fields):
    return Fault(point=FaultPoint(point), action=FaultAction(action), **fields)


# Ids.


def test_ids_count_up_within_32_characters():
    ids = Ids(999_999)
    made = [ids.next("event") for _ in range(3)]

    assert len(set(made)) == 3
    assert made == sorted(made)
    assert max(map(len, made)) <= 32


# The script.


def test_a_script_is_used_up_in_order():
    script = Script()
    script.add(transcripts=["One.", "Two."], answers=["Hi.", Call("f", "{}"), ["Wait.", Call("g", "{}")]])

    assert [script.next_transcript() for _ in range(3)] == ["One.", "Two.", None]
    answers = [script.next_answer() for _ in range(4)]
    assert answers == [[Say("Hi.")], [Call("f", "{}")], [Say("Wait."), Call("g", "{}")], None]


def test_the_last_sixteen_answers_are_kept_the_newest_first():
    script = Script()
    script.add(answers=map(str, range(20)))
    for _ in range(20):
        script.next_answer()

    assert script.recent_answers() == [[Say(str(number))] for number in range(19, 3, -1)]


# The outbox.


def test_commands_are_collected_until_they_are_taken():
    outbox = outbox_with()
    outbox.send("session.updated", session={})
    outbox.start_timer("t", 1.0)
    outbox.cancel_timer("t")

    sent, *timers = outbox.take()
    assert isinstance(sent, Send)
    assert sent.event["type"] == "session.updated"
    assert timers == [StartTimer("t", 1.0), CancelTimer("t")]
    assert outbox.take() == []


def test_an_error_names_the_event_that_it_answers():
    outbox = outbox_with()
    outbox.event_id = "mine"
    outbox.refuse(RequestError("invalid_value", "No.", "session.voice"))

    (sent,) = outbox.take()
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "No.", "param": "session.voice"}
    assert sent.event["error"] == error | {"event_id": "mine"}


def test_a_closed_connection_gets_no_command_but_the_end_of_timers():
    outbox = outbox_with(fault("error", times=0))
    outbox.close(1000, "bye")
    outbox.send("session.updated")
    outbox.start_timer("t", 1.0)
    outbox.close(1001, "again")
    outbox.cancel_timer("t")

    assert outbox.take() == [Close(1000, "bye"), CancelTimer("t")]
    assert outbox.take_fault(FaultPoint.SESSION_UPDATE) is None
    assert outbox.pass_point(FaultPoint.SESSION_UPDATE)


INJECTIONS = [
    (fault("close", code=1011, reason="x"), [Close(1011, "x")], False),
    (fault("reset"), [Reset()], False),
    (fault("hang"), [Hang()], False),
    (fault("malformed", text="{"), [SendRaw("{")], True),
    (fault("delay", delay_s=1.5), [Pause(1.5)], True),
    (fault("swallow"), [], False),
    (fault("swallow", delay_s=0.5), [Pause(0.5)], False),
]


@pytest.mark.parametrize(("injected", "commands", "continues"), INJECTIONS)
def test_a_fault_is_injected_as_its_point_is_passed(injected, commands, continues):
    outbox = outbox_with(injected)

    assert outbox.pass_point(injected.point) is continues
    assert outbox.take() == commands


@pytest.mark.parametrize(("point", "continues"), [("session_update", False), ("session_updated", True)])
def test_an_error_refuses_a_request_and_nothing_else(point, continues):
    outbox = outbox_with(fault("error", point, error_code="x"))

    assert outbox.pass_point(FaultPoint(point)) is continues
    (sent,) = outbox.take()
    assert sent.event["error"]["code"] == "x"


@pytest.mark.parametrize("action", ["fail", "incomplete"])
def test_a_fault_of_a_response_is_handed_to_the_responses(action):
    outbox, ended = outbox_with(fault(action)), []
    outbox.on_response_fault = ended.append

    assert outbox.pass_point(FaultPoint.SESSION_UPDATE)
    assert [each.action for each in ended] == [FaultAction(action)]
