"""Faults: every point, every action, and their number."""

import pytest

from router.simulator import POINTS, Fault, FaultAction, FaultPoint
from router.simulator.commands import Close, Hang, Reset
from router.simulator.faults import ACTIONS_AT, FaultPlan, Moment, parse_fault

CLOCK = {"type": "function", "name": "get_time", "description": "Tell the time.", "parameters": {"type": "object"}}


def kinds(events):
    return [event["type"] for event in events]


def fault(point, action="close", **fields):
    return Fault(point=FaultPoint(point), action=FaultAction(action), **fields)


def tour(machine, sound):
    """Pass every point but the handshake in one session."""
    machine.open()
    machine.update(tools=[CLOCK], audio={"input": {"transcription": {"model": "whisper-1"}}})
    machine.ask("Hello there")
    machine.ask("Hello there", output_modalities=["text"])
    machine.send("conversation.item.truncate", item_id="none", content_index=0, audio_end_ms=0)
    done = machine.ask("What time is it?")
    calls = [event["call_id"] for event in done if event["type"] == "response.function_call_arguments.done"]
    for call_id in calls:
        item = {"type": "function_call_output", "call_id": call_id, "output": "noon"}
        machine.send("conversation.item.create", item=item)
    machine.send("response.create")
    machine.hear(sound.tone(400), sound.silence(400))
    machine.send("response.cancel")


def test_the_table_has_a_row_for_every_point():
    assert list(POINTS) == list(FaultPoint)
    assert set(ACTIONS_AT) == set(Moment)


@pytest.mark.parametrize("point", [point for point in FaultPoint if point is not FaultPoint.HANDSHAKE])
def test_a_session_can_be_closed_at_every_point(make_machine, sound, point):
    machine = make_machine(fault(point, code=1011, reason="broken"))
    tour(machine, sound)

    assert machine.ending == Close(1011, "broken")


# The last event before the fault of each point.
LAST_EVENTS = [
    ("session_created", "session.created"),
    ("session_update", "session.created"),
    ("session_updated", "session.updated"),
    ("item_create", "session.updated"),
    ("item_acked", "conversation.item.done"),
    ("response_create", "conversation.item.done"),
    ("response_created", "response.created"),
    ("mid_text", "response.output_text.delta"),
    ("mid_transcript", "response.output_audio_transcript.delta"),
    ("mid_audio", "response.output_audio.delta"),
    ("audio_done", "response.output_audio.done"),
    ("before_response_done", "response.output_item.done"),
    ("function_call", "response.function_call_arguments.done"),
    ("function_call_outstanding", "rate_limits.updated"),
    ("function_output", "rate_limits.updated"),
    ("function_output_acked", "conversation.item.done"),
    ("between_turns", "rate_limits.updated"),
    ("speech_started", "input_audio_buffer.speech_started"),
    ("speech_stopped", "input_audio_buffer.speech_stopped"),
    ("committed", "input_audio_buffer.committed"),
    ("transcription", "response.created"),
    ("response_cancel", "rate_limits.updated"),
]


@pytest.mark.parametrize(("point", "last"), LAST_EVENTS)
def test_a_point_lies_where_the_table_says(make_machine, sound, point, last):
    machine = make_machine(fault(point, "hang"))
    tour(machine, sound)

    assert machine.ending == Hang()
    assert machine.events[-1]["type"] == last


def test_a_connection_closed_on_connect_has_sent_nothing(make_machine):
    machine = make_machine(fault("connect")).open()

    assert machine.events == []
    assert machine.ending == Close(1000, "")
    assert machine.send("response.create") == []
    assert machine.feed_binary(b"x") == []


# Actions.


def test_an_error_event_may_precede_a_close(make_machine):
    machine = make_machine(
        fault("connect", code=1013, error_type="insufficient_quota", error_code="insufficient_quota")
    ).open()

    assert machine.events[0]["error"]["code"] == "insufficient_quota"
    assert machine.ending == Close(1013, "")


def test_reset_and_hang(make_machine):
    assert make_machine(fault("connect", "reset")).open().ending == Reset()
    assert make_machine(fault("connect", "hang")).open().ending == Hang()


def test_a_malformed_frame_is_sent_and_the_session_continues(make_machine):
    machine = make_machine(fault("session_updated", "malformed", text="{oops")).open()

    assert kinds(machine.update()) == ["session.updated"]
    assert machine.raw == ["{oops"]
    assert kinds(machine.update()) == ["session.updated"]


def test_an_error_refuses_a_request_and_only_interrupts_a_flow(make_machine):
    refusing = make_machine(fault("response_create", "error", error_code="rate_limit_exceeded")).open()
    spurious = make_machine(fault("mid_audio", "error")).open()

    assert kinds(refusing.send("response.create", event_id="e")) == ["error"]
    assert refusing.events[-1]["error"]["event_id"] == "e"
    events = spurious.ask("Hello")
    assert "error" in kinds(events)
    assert kinds(events)[-2:] == ["response.done", "rate_limits.updated"]


def test_a_swallowed_request_is_ignored(make_machine):
    machine = make_machine(fault("session_update", "swallow")).open()

    assert machine.update(instructions="x") == []
    assert machine.update()[0]["session"]["instructions"] != "x"


@pytest.mark.parametrize("point", ["response_created", "mid_audio", "before_response_done", "audio_done"])
def test_a_response_fails_at_a_point_within_it(make_machine, point):
    machine = make_machine(fault(point, "fail", error_code="server_error")).open()
    events = machine.ask("Hello there")
    response = next(event["response"] for event in events if event["type"] == "response.done")

    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "server_error"
    assert response["usage"] is None
    assert "error" not in kinds(events)
    assert kinds(machine.ask("Hello again"))[-1] == "rate_limits.updated"


def test_a_failure_outside_a_response_waits_for_the_next(make_machine):
    machine = make_machine(fault("response_create", "fail", error_code="inference_rate_limit_exceeded")).open()
    events = machine.ask("Hello")

    assert kinds(events) == ["response.created", "response.done", "rate_limits.updated"]
    assert events[1]["response"]["status"] == "failed"


def test_a_response_ends_incomplete(make_machine):
    machine = make_machine(fault("mid_audio", "incomplete", reason="content_filter", skip=2)).open()
    done = next(event["response"] for event in machine.ask("Hello there") if event["type"] == "response.done")

    assert done["status_details"] == {"type": "incomplete", "reason": "content_filter"}
    assert done["output"][0]["status"] == "incomplete"


def test_a_transcription_fails_alone(make_machine, sound):
    machine = make_machine(fault("transcription", "fail", error_code="DeploymentNotFound")).open()
    machine.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    events = machine.hear(sound.tone(400), sound.silence(400))

    failed = [event for event in events if event["type"].endswith("transcription.failed")]
    assert failed[0]["error"]["code"] == "DeploymentNotFound"
    assert "response.done" in kinds(events)


def test_a_delay_pauses_the_session(make_machine):
    machine = make_machine(fault("session_update", "delay", delay_s=1.5)).open()

    assert kinds(machine.update()) == ["session.updated"]
    assert machine.pauses == [1.5]


def test_any_action_may_be_delayed(make_machine):
    machine = make_machine(fault("between_turns", delay_s=0.2)).open()
    machine.ask("Hello")

    assert machine.pauses == [0.2]
    assert machine.ending == Close(1000, "")


# The number of times.


def test_a_fault_happens_once_by_default(make_machine):
    once = make_machine(fault("session_update", "swallow")).open()
    always = make_machine(fault("session_update", "swallow", times=0)).open()

    assert [len(once.update()) for _ in range(3)] == [0, 1, 1]
    assert [len(always.update()) for _ in range(3)] == [0, 0, 0]


def test_occurrences_can_be_skipped(make_machine):
    machine = make_machine(fault("session_update", "swallow", skip=1, times=2)).open()

    assert [len(machine.update()) for _ in range(4)] == [1, 0, 0, 1]


def test_a_fault_can_be_limited_to_the_first_connections():
    plan = FaultPlan((fault("connect", times=0, first_connections=2),))

    assert [plan.take(FaultPoint.CONNECT, number) is not None for number in (1, 2, 3)] == [True, True, False]


def test_faults_of_one_point_happen_in_the_order_of_adding():
    plan = FaultPlan((fault("connect", code=1001), fault("connect", code=1002)))

    assert [plan.take(FaultPoint.CONNECT, 1).code for _ in range(2)] == [1001, 1002]
    assert plan.take(FaultPoint.CONNECT, 1) is None


@pytest.mark.parametrize(
    ("point", "action"),
    [("connect", "swallow"), ("handshake", "close"), ("mid_audio", "refuse"), ("connect", "refuse")],
)
def test_an_action_that_is_impossible_at_a_point_is_refused(point, action):
    with pytest.raises(ValueError, match=f"a fault cannot {action} at {point}"):
        fault(point, action)


# The command line.


def test_a_fault_is_read_from_the_command_line():
    assert parse_fault("mid_audio:close,code=1011,reason=internal error,first_connections=1") == fault(
        "mid_audio", code=1011, reason="internal error", first_connections=1
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mid_audio", "expected point:action"),
        ("mid_audio:close,code", "expected point:action"),
        ("nowhere:close", "'nowhere'.*; point is one of handshake, connect, "),
        ("mid_audio:explode", "'explode'.*; action is one of close, reset, "),
        ("mid_audio:close,code=x", "code"),
        ("mid_audio:close,colour=red", "colour"),
        ("mid_audio:swallow", "cannot swallow"),
    ],
)
def test_a_bad_fault_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        parse_fault(text)
