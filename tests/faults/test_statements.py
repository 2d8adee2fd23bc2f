"""An upstream is lost over what the agent says word for word; the client hears all of it, and reads it once."""

import functools

import pytest

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.talk import BYTES_PER_CHARACTER, TOLERANCE_CHARACTERS, Conversation, settings
from tests.support.faults.world import world

pytestmark = pytest.mark.slow

TEXT = "Good morning, this is the garden centre by the river. How can I help you today?"
TIMEOUT_S = 9.0

P, A = FaultPoint, FaultAction
POINTS = {
    "asked for": (P.RESPONSE_CREATE, 0),
    "begun": (P.RESPONSE_CREATED, 0),
    "in mid-transcript": (P.MID_TRANSCRIPT, 2),
    "in mid-audio": (P.MID_AUDIO, 10),
    "all heard": (P.AUDIO_DONE, 0),
    "all said, before its end": (P.BEFORE_RESPONSE_DONE, 0),
    "said, its item sent": (P.ITEM_CREATE, 0),
}
FAULTS = {
    "closed": {"action": A.CLOSE, "code": 1000},
    "reset": {"action": A.RESET},
    "silent": {"action": A.HANG},
    "malformed": {"action": A.MALFORMED},
}


def on_session_created(client):
    given = settings("audio")
    client.say("Settings", audio=given["audio"], agent={**given["agent"], "greeting": TEXT})


def inject(client):
    Conversation(client, "audio").apply_settings()
    client.say("InjectAgentMessage", message=TEXT)


def held(begin, *faults):
    """Hear the statement to its end, and then what the model was told of it."""
    with world(SimulatorConfig(pace=0, faults=faults)) as here, WireClient(here.url("converse")) as client:
        begin(client)
        client.wait_for("AgentAudioDone", timeout_s=TIMEOUT_S)
        is_remembered = functools.partial(was_remembered, here.simulator, dials=len(faults) + 1)
        assert Conversation(client, "audio").hear_until(is_remembered, TIMEOUT_S)
        client.close()
        return list(client.frames)


def was_remembered(simulator, dials):
    """Whether the upstream in use was told what was said, once."""
    connections = simulator.connections
    told = [event["item"]["content"][0]["text"] for event in connections[-1].of_type("conversation.item.create")]
    assert len(told) <= 1
    return len(connections) >= dials and told == [TEXT]


@functools.cache
def whole():
    """The statement without a fault."""
    return heard(held(inject))


def heard(frames):
    return b"".join(frame for frame in frames if isinstance(frame, bytes))


def texts(frames, kind):
    messages = [frame for frame in frames if isinstance(frame, dict) and frame["type"] == kind]
    return [message["content"] for message in messages if message.get("role") == "assistant"]


@pytest.mark.parametrize("begin", [on_session_created, inject])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("point", POINTS)
def test_a_statement_is_read_once_and_heard_to_its_end(begin, point, fault):
    where, skip = POINTS[point]
    frames = held(begin, Fault(point=where, skip=skip, **FAULTS[fault]))
    kinds = [frame["type"] for frame in frames if isinstance(frame, dict)]
    assert texts(frames, "ConversationText") == texts(frames, "History") == [TEXT]
    assert kinds.count("AgentAudioDone") == 1
    assert kinds.count("Warning") == 1
    assert "Error" not in kinds
    difference = len(heard(frames)) - len(whole())
    assert abs(difference) <= TOLERANCE_CHARACTERS * BYTES_PER_CHARACTER
