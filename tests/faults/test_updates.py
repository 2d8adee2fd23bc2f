"""An upstream is lost over an update of a running session; it is applied, and acknowledged once."""

import pytest

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.talk import Conversation
from tests.support.faults.world import PROFILES, world

pytestmark = pytest.mark.slow

TIMEOUT_S = 9.0
ANSWER = "Aye, captain."

P, A = FaultPoint, FaultAction
FAULTS = {
    "closed": {"action": A.CLOSE, "code": 1000},
    "reset": {"action": A.RESET},
    "silent": {"action": A.HANG},
    "malformed": {"action": A.MALFORMED},
}


def updated(client):
    """Have the agent answer the same whatever it is asked, and wait until that is in effect."""
    Conversation(client, "audio").apply_settings()
    client.say("UpdatePrompt", prompt=f'Say exactly: "{ANSWER}"')


def answers(client):
    client.say("InjectUserMessage", content="Are you there?")
    client.wait_for("AgentAudioDone", timeout_s=TIMEOUT_S)
    texts = [frame for frame in client.frames if isinstance(frame, dict) and frame["type"] == "ConversationText"]
    return [text["content"] for text in texts if text["role"] == "assistant"]


def kinds(client):
    return [frame["type"] for frame in client.frames if isinstance(frame, dict)]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("point", [P.SESSION_UPDATE, P.SESSION_UPDATED])
def test_an_update_is_applied_and_acknowledged_once(profile, point, fault):
    faults = (Fault(point=point, skip=1, **FAULTS[fault]),)
    with world(SimulatorConfig(pace=0, faults=faults)) as here, WireClient(here.url(profile)) as client:
        updated(client)
        client.wait_for("PromptUpdated", timeout_s=TIMEOUT_S)
        assert answers(client) == [ANSWER]
        assert kinds(client).count("PromptUpdated") == 1
        assert "Error" not in kinds(client)


@pytest.mark.parametrize("profile", PROFILES)
def test_an_update_that_two_upstreams_pass_over_is_given_up_and_the_session_goes_on(profile):
    # Each upstream is configured first; a fault does not see what another one took.
    faults = tuple(Fault(point=P.SESSION_UPDATE, skip=skip, action=A.SWALLOW) for skip in (1, 2))
    with world(SimulatorConfig(pace=0, faults=faults)) as here, WireClient(here.url(profile)) as client:
        updated(client)
        (*_, given_up) = client.wait_for("Error", timeout_s=TIMEOUT_S)
        assert given_up["code"] == "UPDATE_NOT_APPLIED"
        assert answers(client) not in ([], [ANSWER])
        assert "PromptUpdated" not in kinds(client)
