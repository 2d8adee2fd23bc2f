"""Control messages: client events that inject faults and script answers."""

import pytest

from router.simulator.control import CONTROLS


def kinds(events):
    return [event["type"] for event in events]


def response_of(events):
    (done,) = [event for event in events if event["type"] == "response.done"]
    return done["response"]


def code(events):
    (event,) = events
    return event["error"]["code"]


def test_a_control_message_adds_and_clears_faults(machine):
    fields = {"point": "response_create", "action": "error", "error_code": "server_error"}
    assert machine.send("simulator.fault", fault=fields) == []
    assert kinds(machine.send("response.create")) == ["error"]

    machine.send("simulator.fault", fault=fields)
    machine.send("simulator.fault", clear=True)
    assert kinds(machine.send("response.create"))[0] == "response.created"


@pytest.mark.parametrize("fields", [{"fault": {"point": "x", "action": "close"}}, {"fields": 1}, {"fault": 3}])
def test_an_invalid_control_message_is_refused(machine, fields):
    (event,) = machine.send("simulator.fault", event_id="c", **fields)

    assert (event["error"]["code"], event["error"]["event_id"]) == ("invalid_value", "c")


def test_scripted_answers_are_given_in_order(machine):
    machine.send(
        "simulator.script",
        answers=["One.", {"call": {"name": "f", "arguments": {"a": 1}}}, [{"say": "Wait."}, {"call": {"name": "g"}}]],
    )
    machine.ask("x")
    assert machine.answer == "One."

    (call,) = response_of(machine.ask("x"))["output"]
    both = response_of(machine.ask("x"))["output"]
    machine.ask("x")

    assert (call["name"], call["arguments"]) == ("f", '{"a":1}')
    assert [item["type"] for item in both] == ["message", "function_call"]
    assert machine.answer == 'You said: "x" I will remember that.'


def test_an_invalid_script_is_refused(machine):
    assert code(machine.send("simulator.script", answers=[{}])) == "invalid_value"
    assert code(machine.send("simulator.script", replies=["x"])) == "invalid_value"


def test_an_invalid_message_changes_no_fault(machine):
    fields = {"point": "response_create", "action": "error"}
    machine.send("simulator.fault", fault=fields)
    machine.send("simulator.fault", clear=True, fault={"point": "nowhere", "action": "close"})

    assert kinds(machine.send("response.create")) == ["error"]


@pytest.mark.parametrize("kind", CONTROLS)
def test_control_messages_can_be_switched_off(make_machine, kind):
    machine = make_machine(control_messages=False).open()
    (event,) = machine.send(kind)

    assert (event["error"]["code"], event["error"]["param"]) == ("invalid_value", "type")
