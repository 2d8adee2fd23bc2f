"""A virtual world is a network with a latency, and fails where anything of a session is left."""

import pytest

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.faults.talk import QUESTION, Conversation
from tests.support.faults.virtual_world import Conditions, virtual_world
from tests.support.machine.virtual_time import STARTS_S

AT_ONCE = SimulatorConfig(pace=0)


def answered_after_s(conditions):
    """How long a question takes in a world."""
    with virtual_world(AT_ONCE, conditions=conditions) as here, here.call("openai") as client:
        conversation = Conversation(client, "text")
        conversation.apply_settings()
        conversation.ask(QUESTION)
        client.close()
    return conversation.steps_s[QUESTION]


@pytest.mark.parametrize("latency_s", [0.001, 0.02, 0.05])
def test_a_question_takes_six_ways_through_the_network(latency_s):
    # The message, the item, its acknowledgement, response.create, the answer, and the message that ends the turn.
    assert answered_after_s(Conditions(latency_s=latency_s)) == pytest.approx(6 * latency_s)


@pytest.mark.parametrize(("jitter", "back_off_s"), [(0.0, 0.4), (0.5, 0.5), (1.0, 0.6)])
def test_a_second_restart_waits_as_long_as_the_conditions_say(jitter, back_off_s):
    faults = tuple(Fault(point=FaultPoint.RESPONSE_CREATE, action=FaultAction.RESET) for _ in range(2))
    config = SimulatorConfig(pace=0, faults=faults)
    with virtual_world(config, conditions=Conditions(jitter=jitter)) as here, here.call("openai") as client:
        conversation = Conversation(client, "text")
        conversation.apply_settings()
        conversation.ask(QUESTION)
        client.close()
    assert back_off_s < conversation.steps_s[QUESTION] < back_off_s + 0.05


def test_a_dial_that_hangs_takes_its_whole_deadline():
    hang = Fault(point=FaultPoint.HANDSHAKE, action=FaultAction.HANG)
    config = SimulatorConfig(pace=0, faults=(hang,))
    with virtual_world(config) as here, here.call("openai") as client:
        Conversation(client, "text").apply_settings()
        assert here.clock.now_s - STARTS_S == pytest.approx(0.6, abs=0.05)
        client.close()
    assert [bool(record.types()) for record in here.simulator.connections] == [False, True]


def test_a_session_that_does_not_end_is_found():
    def leave_it_open():
        with virtual_world(AT_ONCE) as here:
            Conversation(here.call("openai"), "text").apply_settings()
            here._sessions += 1  # one that nobody began never ends

    with pytest.raises(AssertionError, match="a session does not end"):
        leave_it_open()


def test_a_timer_that_is_left_is_found():
    def leave_a_timer():
        with virtual_world(AT_ONCE) as here, here.call("openai") as client:
            Conversation(client, "text").apply_settings()
            client.close()
            here._dispatcher.call_later(3600.0, lambda: None)

    with pytest.raises(AssertionError, match="a timer is left"):
        leave_a_timer()
