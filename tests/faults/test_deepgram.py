"""Every fault of Deepgram's backend at every place of a conversation, in virtual time."""

import itertools
from functools import partial

import pytest

from router.simulator import Fault, FaultAction, FaultPoint
from tests.support.faults.deepgram_world import AGENT, LINEAR, DeepgramWorld

A, P = FaultAction, FaultPoint
SETUP = (P.CONNECT, P.SESSION_CREATED, P.SESSION_UPDATE, P.SESSION_UPDATED)
WRITTEN = {
    P.ITEM_CREATE: 0,
    P.ITEM_ACKED: 0,
    P.MID_TEXT: 1,
    P.MID_AUDIO: 9,
    P.BEFORE_RESPONSE_DONE: 1,
    P.BETWEEN_TURNS: 1,
}
"""The points of a written question, and how often the greeting passes each before."""
CALLED = {P.FUNCTION_CALL: 0, P.FUNCTION_OUTPUT: 0}
SPOKEN = {P.AUDIO_APPEND: 12, P.SPEECH_STARTED: 0, P.SPEECH_STOPPED: 0}
PLACES = {**dict.fromkeys(SETUP, 0), **WRITTEN, **CALLED, **SPOKEN}

ACTIONS = {
    "close 1000": {"action": A.CLOSE, "code": 1000},
    "close 1005": {"action": A.CLOSE, "code": 1005},
    "close 1011 behind an error": {"action": A.CLOSE, "code": 1011, "error_code": "INTERNAL_SERVER_ERROR"},
    "an error": {"action": A.ERROR, "error_code": "FAILED_TO_THINK"},
    "reset": {"action": A.RESET},
    "hang": {"action": A.HANG},
    "malformed": {"action": A.MALFORMED},
    "swallow": {"action": A.SWALLOW},
}


def is_possible(point, how):
    try:
        Fault(point=point, **how)
    except ValueError:
        return False
    return True


def is_told(point, how):
    """Whether the client gets Deepgram's error, because its Settings were never applied."""
    return point in SETUP[:3] and (how["action"] is A.ERROR or "error_code" in how)


CELLS = [
    pytest.param(point, how, id=f"{point.value}-{name}")
    for point, (name, how) in itertools.product(PLACES, ACTIONS.items())
    if is_possible(point, how) and not is_told(point, how)
]


def begin(*faults, **options):
    world = DeepgramWorld(*faults, **options)
    world.send("Settings", audio={"input": LINEAR, "output": LINEAR}, agent=AGENT)
    return world


def ask_of(world, point):
    """Ask the question of a point, in its way, until it is answered."""
    done = len(world.of("AgentAudioDone"))
    if point in CALLED:
        world.send("InjectUserMessage", content="Please look")
        answered = 0
        while len(world.of("AgentAudioDone")) <= done and world.ending is None:
            if not world.wait_for("FunctionCallRequest", answered + 1):
                return
            (function,) = world.of("FunctionCallRequest")[answered]["functions"]
            answered += 1
            world.send("FunctionCallResponse", id=function["id"], name="look", content="seen")
            world.run(world.now_s + 200.0, partial(is_settled, world, done, answered))
    elif point in SPOKEN:
        world.speak(20, 60)
        world.wait_for("AgentAudioDone", done + 1)
    else:
        world.send("InjectUserMessage", content="My name is Ada")
        world.wait_for("AgentAudioDone", done + 1)


def is_settled(world, done, answered):
    return len(world.of("AgentAudioDone")) > done or len(world.of("FunctionCallRequest")) > answered


@pytest.mark.parametrize(("point", "how"), CELLS)
def test_each_question_is_answered_and_nothing_seen_twice(point, how):
    world = begin(Fault(point=point, skip=PLACES[point], first_connections=1, **how))
    assert world.wait_for("SettingsApplied")
    if point is not P.SESSION_UPDATED:
        assert world.wait_for("AgentAudioDone")
    ask_of(world, point)
    question = "Please look" if point in CALLED else "My name is Ada"
    before = len(world.of("AgentAudioDone"))
    world.send("InjectUserMessage", content="What do you remember?")
    assert world.wait_for("AgentAudioDone", before + 1)

    assert world.ending is None
    assert len(world.upstreams) == (1 if point is P.AUDIO_APPEND and how["action"] is A.SWALLOW else 2)
    assert world.of("Error") == []
    assert [len(world.of(kind)) for kind in ("Welcome", "SettingsApplied")] == [1, 1]
    assert world.texts("assistant").count("Hello there.") <= 1
    assert world.texts("user") == [question, "What do you remember?"]
    assert f"You said before: {question}." in world.texts("assistant")
    assert len(world.of("Warning")) <= 1


@pytest.mark.parametrize("how", [ACTIONS["close 1000"], ACTIONS["hang"], ACTIONS["malformed"]])
@pytest.mark.parametrize("point", [P.CONNECT, P.SESSION_UPDATE, P.ITEM_CREATE, P.ITEM_ACKED, P.MID_TEXT])
def test_a_budget_that_is_spent_ends_the_session_with_an_error(point, how):
    world = begin(Fault(point=point, skip=PLACES[point], times=0, **how), restarts=2)
    world.wait_for("AgentAudioDone")
    world.send("InjectUserMessage", content="My name is Ada")
    world.run(world.now_s + 600.0)
    assert world.ending is not None
    assert world.ending.code == 1011
    assert len(world.of("Error")) == 1


@pytest.mark.parametrize("point", SETUP[:3])
def test_an_error_before_the_settings_were_applied_is_the_client_s(point):
    world = begin(Fault(point=point, **ACTIONS["an error"]))
    world.run(world.now_s + 60.0)
    assert [it["code"] for it in world.of("Error")] == ["FAILED_TO_THINK"]
    assert world.ending is not None
    assert world.ending.code == 1000


def test_without_a_fault_a_conversation_has_one_upstream():
    world = begin()
    assert world.wait_for("AgentAudioDone")
    for point in (P.ITEM_CREATE, P.FUNCTION_CALL, P.AUDIO_APPEND):
        ask_of(world, point)
    assert len(world.upstreams) == 1
    assert len(world.of("AgentAudioDone")) == 4
    assert world.of("Warning") == []
