"""Whole conversations whose upstreams are of two strict backends: everything begins once and ends once."""

import itertools

import pytest
from hypothesis import example, given, settings, strategies
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from router.fronts.as_openai.agent import UNSUPPORTED
from router.simulator import Fault, FaultAction, FaultPoint
from tests.router.fronts.realtime.test_simulation import FAULTS, LONG_S, RACES, STEPS, converse
from tests.support.machine.two_backend_world import DEEPGRAM, OPENAI, TwoBackendWorld
from tests.support.processes.further import examples, further

WAYS = strategies.fixed_dictionaries(
    {
        "latency_s": strategies.sampled_from([0.0, 0.02, 0.3]),
        "pace": strategies.sampled_from([1.0, 20.0]),
        "session_seconds": strategies.sampled_from([3600.0, 47.0]),
    }
)
ORDERS = strategies.lists(strategies.sampled_from([OPENAI, DEEPGRAM]), min_size=2, max_size=5)

# Frames to an upstream are on their way when the process dies. The next process has an upstream of that generation.
FRAMES_OF_THE_DEAD = (
    *((0.0, action) for action in ("speak", *["aside"] * 5, "die", "aside", "aside")),
    *((5.0, "die"), (0.05, "lose"), (1.0, "aside"), (0.0, "die"), (0.0, "aside")),
)


@settings(max_examples=examples(40), deadline=None)
@given(ORDERS, STEPS, WAYS)
@example(
    [OPENAI, OPENAI, DEEPGRAM, OPENAI], FRAMES_OF_THE_DEAD, {"latency_s": 0.3, "pace": 1.0, "session_seconds": 3600.0}
)
def test_a_conversation_comes_to_rest_whichever_backend_serves_it(order, steps, way):
    it = converse(TwoBackendWorld(*order, **way), steps)
    assert not it.closed
    it.client.judge_rest()
    assert set(it.client.errors) <= RACES | {UNSUPPORTED, "response_without_input"}, it.client.of("error")
    assert {error["code"] for error in it.agent_errors} <= {"MAXIMUM_SESSION_LENGTH_REACHED"}
    assert not it.relay.context.state.responses
    assert not it.relay.context.state.unanswered.has_request
    it.say("My name is Grace.")
    before = len(it.client.responses)
    it.run(LONG_S)
    # Deepgram announces no end of its session, which may cut this answer. A question that is open still is asked, too.
    statuses = list(it.client.responses.values())[before:]
    assert statuses[-1:] == ["completed"], statuses
    assert set(statuses) <= {"completed", "incomplete"}


ORDER = {"to Deepgram": (OPENAI, DEEPGRAM, DEEPGRAM), "from Deepgram": (DEEPGRAM, OPENAI, OPENAI)}
DEEPGRAM_FAULTS = [
    {"point": point, "action": action, "skip": skip}
    for point, action, skip in itertools.product(
        (
            FaultPoint.CONNECT,
            FaultPoint.SESSION_CREATED,
            FaultPoint.SESSION_UPDATE,
            FaultPoint.SESSION_UPDATED,
            FaultPoint.AUDIO_APPEND,
            FaultPoint.SPEECH_STARTED,
            FaultPoint.SPEECH_STOPPED,
            FaultPoint.ITEM_CREATE,
            FaultPoint.ITEM_ACKED,
            FaultPoint.MID_TEXT,
            FaultPoint.MID_AUDIO,
            FaultPoint.BEFORE_RESPONSE_DONE,
            FaultPoint.BETWEEN_TURNS,
            FaultPoint.FUNCTION_CALL,
            FaultPoint.FUNCTION_OUTPUT,
        ),
        (FaultAction.CLOSE, FaultAction.HANG, FaultAction.MALFORMED, FaultAction.ERROR),
        (0, 3),
    )
    if not skip or point in (FaultPoint.MID_TEXT, FaultPoint.MID_AUDIO)
]


def hold(*order, **fields):
    """Hold a conversation of a text, a spoken turn and a function call."""
    it = TwoBackendWorld(*order, pace=20.0, **fields)
    it.configure()
    it.say("My name is Ada and I like tea.")
    it.run(10.0)
    it.speak(0.8, 1.0)
    it.run(30.0)
    it.say("What is the weather?")
    it.run(LONG_S)
    return it


@pytest.mark.parametrize("order", ["to Deepgram", further("from Deepgram")])
def test_an_upstream_that_is_lost_at_any_point_is_replaced_by_one_of_the_other_backend(order):
    is_to_deepgram = order == "to Deepgram"
    for fields in FAULTS if is_to_deepgram else DEEPGRAM_FAULTS:
        fault = (Fault(**fields, first_connections=1),)
        it = hold(*ORDER[order], **{"faults" if is_to_deepgram else "deepgram_faults": fault})
        it.client.judge_rest()
        assert it.client.errors == [], fields
        assert not it.closed, fields
        assert it.agent_errors == [] or fields["action"] is FaultAction.ERROR, fields
        assert list(it.client.responses.values())[-1] == "completed", fields
        assert len(it.client.calls) <= 1, fields
        assert it.client.calls or fields["action"] is FaultAction.HANG, fields


SHOWN_BY_OPENAI = {"session.id", "session.object", "session.expires_at"}
"""Fields of `session` that OpenAI sends and the SDK's type does not name."""


def unknown_fields(model, path=""):
    """Yield the paths of the fields for which the SDK's type has no place."""
    if isinstance(model, BaseModel):
        yield from (f"{path}{name}" for name in model.model_extra or {})
        for name in type(model).model_fields:
            yield from unknown_fields(getattr(model, name), f"{path}{name}.")
    elif isinstance(model, list):
        for each in model:
            yield from unknown_fields(each, path)


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_every_event_made_of_deepgram_s_messages_is_one_of_the_sdk_s(modality):
    it = TwoBackendWorld(DEEPGRAM, DEEPGRAM, pace=20.0)
    it.configure(output_modalities=[modality])
    it.say("My name is Ada.")
    it.run(10.0)
    it.speak(0.8, 1.0)
    it.run(30.0)
    it.say("What is the weather?")
    it.run(LONG_S)
    assert it.client.calls
    adapter = TypeAdapter(RealtimeServerEvent)
    unknown = {path for event in it.client.events for path in unknown_fields(adapter.validate_python(event))}
    assert unknown <= SHOWN_BY_OPENAI
